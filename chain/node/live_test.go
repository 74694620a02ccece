package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

const (
	magic  = 42
	funds  = 1_000_000_000_000
	epochs = 2000 // slots
)

var (
	network = chain.Network{Magic: magic}
	live    *testnet.NodeProcess
	dir     string
)

// key is the test's own key number n.
func key(n byte) (ed25519.PrivateKey, chain.Address) {
	k := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), n))
	return k, chain.Enterprise(network, chain.HashKey(k.Public().(ed25519.PublicKey)))
}

func TestMain(m *testing.M) {
	code, err := func() (int, error) {
		var err error
		if dir, err = os.MkdirTemp("", "node"); err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		if err := startNode(); err != nil {
			return 1, err
		}
		code := m.Run()
		return code, live.Stop(context.Background())
	}()
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// startNode starts the live node on a new chain: what a kill leaves of the old one is the node's own affair.
func startNode() (err error) {
	chainDir, err := os.MkdirTemp(dir, "chain")
	if err != nil {
		return err
	}
	_, rich := key(1)
	_, payer := key(2)
	_, other := key(3)
	_, still := key(4)
	live, err = testnet.StartNode(context.Background(), testnet.NodeConfig{
		Dir: chainDir, Magic: magic, SlotLength: 100 * time.Millisecond, EpochLength: epochs,
		Funds: map[chain.Address]chain.Lovelace{rich: funds, payer: funds, other: funds, still: funds},
	})
	return err
}

func dial(t *testing.T, cfg node.Config) *node.Node {
	t.Helper()
	if cfg.Socket == "" {
		cfg.Socket = live.Socket
	}
	cfg.Network = network
	n, err := node.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestAsk(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	p, err := n.Params(ctx)
	if err != nil || p.FeePerByte != 44 || p.MaxTxSize != 16384 {
		t.Errorf("params %+v, %v", p, err)
	}
	tip, err := n.Tip(ctx)
	if err != nil || tip == (chain.Point{}) {
		t.Errorf("tip %v, %v", tip, err)
	}
	c, err := n.Clock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.SystemStart; got != chain.Time(live.SystemStart.UnixMilli()) {
		t.Errorf("system start %d, the node says %s", got, live.SystemStart)
	}
	if got, want := c.SlotToTime(tip.Slot), c.SystemStart+100*chain.Time(tip.Slot); got != want {
		t.Errorf("slot %d is at %d, want %d", tip.Slot, got, want)
	}
	if c.Horizon <= tip.Slot {
		t.Errorf("horizon %d is not past the tip %d", c.Horizon, tip.Slot)
	}
	_, rich := key(4)
	us, err := n.UTxOs(ctx, rich)
	if err != nil || len(us) != 1 || us[0].Value.Coin != funds || us[0].Address != rich {
		t.Errorf("funds %v, %v", us, err)
	}
	if out, err := n.Outputs(ctx, []chain.OutRef{us[0].Ref}); err != nil || len(out) != 1 || out[0].Address != rich || out[0].Value.Coin != funds {
		t.Errorf("an output by its place: %v, %v", out, err)
	}
	missing := us[0].Ref
	missing.Index = 77
	if out, err := n.Outputs(ctx, []chain.OutRef{missing, us[0].Ref}); err == nil && len(out) != 1 {
		t.Errorf("an output that is not there: %v", out)
	}
	p1, height, us, err := n.Snapshot(ctx, rich)
	if err != nil || p1.Slot < tip.Slot || height == 0 || len(us) != 1 {
		t.Errorf("snapshot at %v, height %d: %v, %v", p1, height, us, err)
	}
	_, poor := key(200)
	if us, err := n.UTxOs(ctx, poor); err != nil || len(us) != 0 {
		t.Errorf("outputs of an unused address: %v, %v", us, err)
	}
	if has, err := n.InMempool(ctx, chain.TxID{1}); err != nil || has {
		t.Errorf("unknown transaction in the mempool: %v, %v", has, err)
	}
}

// payment is a signed transaction that pays from key number from.
func payment(t *testing.T, n *node.Node, from byte, coin chain.Lovelace) *chain.Tx {
	t.Helper()
	ctx := t.Context()
	k, a := key(from)
	_, to := key(100)
	us, err := n.UTxOs(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.Params(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Clock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tip, err := n.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := chain.Draft{Outputs: []chain.Output{{Address: to, Value: chain.Coins(coin)}}, From: tip.Slot, Until: tip.Slot + 300}
	tx, err := chain.Balance(d, us, a, nil, p, c, network)
	if err != nil {
		t.Fatal(err)
	}
	id := tx.ID()
	if err := tx.AddWitness(k.Public().(ed25519.PublicKey), ed25519.Sign(k, id[:])); err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestSubmit(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	tip, err := n.Tip(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tx := payment(t, n, 2, 5_000_000)
	if err := n.Submit(ctx, tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	found := errors.New("found")
	var in chain.BlockTx
	err = n.Follow(ctx, []chain.Point{tip}, handler{forward: func(b chain.Block) error {
		for _, bt := range b.Txs {
			if bt.ID == tx.ID() {
				in = bt
				return found
			}
		}
		return nil
	}})
	if !errors.Is(err, found) {
		t.Fatal(err)
	}
	if len(in.Outputs) != 2 || in.Outputs[0].Value.Coin != 5_000_000 || len(in.Inputs) != 1 || in.Invalid {
		t.Errorf("in the block: %+v", in)
	}
	for err = nil; err == nil; err = n.Submit(ctx, tx.Bytes()) { // the mempool forgets it soon after the block
	}
	if !errors.Is(err, node.ErrRejected) {
		t.Errorf("the same again, once in a block: %v", err)
	}
}

func TestSubmitAgain(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	tx := payment(t, n, 1, 3_000_000)
	var accepted int
	for range 3 {
		err := n.Submit(ctx, tx.Bytes())
		if err == nil {
			accepted++
		} else if !errors.Is(err, node.ErrRejected) {
			t.Error(err)
		}
	}
	if accepted == 0 {
		t.Error("never accepted")
	}
}

func TestRejected(t *testing.T) {
	n := dial(t, node.Config{})
	tx := payment(t, n, 3, 4_000_000)
	raw := tx.Bytes()
	_, sig, ok := tx.Witness(tx.Needed()[0])
	if !ok {
		t.Fatal("unsigned")
	}
	raw[bytes.Index(raw, sig)] ^= 1
	err := n.Submit(t.Context(), raw)
	if !errors.Is(err, node.ErrRejected) || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a forged signature: %v", err)
	}
	if err := n.Submit(t.Context(), raw[:len(raw)-1]); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("a truncated transaction: %v", err)
	}
	if err := n.Submit(t.Context(), tx.Bytes()); err != nil {
		t.Errorf("the true one, after a rejection: %v", err)
	}
}

func TestTogether(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	_, rich := key(1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := n.UTxOs(ctx, rich); err != nil {
					t.Error(err)
				}
				if _, err := n.Clock(ctx); err != nil {
					t.Error(err)
				}
				if _, err := n.InMempool(ctx, chain.TxID{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A killed node is reported; TestCutConnection has one that comes back.
func TestKilledNode(t *testing.T) {
	n, ctx := dial(t, node.Config{}), t.Context()
	followed := make(chan error, 1)
	started := make(chan struct{})
	var once sync.Once
	go func() {
		followed <- n.Follow(ctx, nil, handler{forward: func(chain.Block) error {
			once.Do(func() { close(started) })
			return nil
		}})
	}()
	<-started
	if err := live.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; !errors.Is(err, node.ErrConnection) {
		t.Errorf("following a node that was killed: %v", err)
	}
	if _, err := n.Tip(ctx); !errors.Is(err, node.ErrUnreachable) && !errors.Is(err, node.ErrConnection) {
		t.Errorf("asking a node that was killed: %v", err)
	}
	if err := startNode(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Tip(ctx); !errors.Is(err, node.ErrUnreachable) {
		t.Errorf("the new one is elsewhere: %v", err)
	}
}
