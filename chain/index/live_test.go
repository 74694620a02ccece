package index_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

var network = chain.Network{Magic: 42}

const funds = 1_000_000_000

type actor struct {
	key  ed25519.PrivateKey
	addr chain.Address
}

func newActor(n byte) actor {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	return actor{k, chain.Enterprise(network, chain.HashKey(k.Public().(ed25519.PublicKey)))}
}

// genesisOutput is where the ledger puts an address's initial funds: the transaction "id" is the hash of the address
// (cardano-ledger, initialFundsPseudoTxIn).
func genesisOutput(a chain.Address, n chain.Lovelace) chain.UTxO {
	return chain.UTxO{Ref: chain.OutRef{Tx: blake2b.Sum256(a.Bytes())}, Output: chain.Output{Address: a, Value: chain.Coins(n)}}
}

// pay submits a payment from a, with coins of the index, and waits until it is in a block.
func pay(t *testing.T, n *node.Node, ix *following, a actor, to chain.Address, coin chain.Lovelace) chain.TxID {
	t.Helper()
	ctx := t.Context()
	coins, err := ix.UTxOs(ctx, a.addr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.Params(ctx)
	if err != nil {
		t.Fatal(err)
	}
	clock, err := n.Clock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tip := ix.Tip().Slot
	d := chain.Draft{Outputs: []chain.Output{{Address: to, Value: chain.Coins(coin)}}, From: tip, Until: tip + 300}
	tx, err := chain.Balance(d, coins, a.addr, nil, p, clock, network)
	if err != nil {
		t.Fatal(err)
	}
	id := tx.ID()
	if err := tx.AddWitness(a.key.Public().(ed25519.PublicKey), ed25519.Sign(a.key, id[:])); err != nil {
		t.Fatal(err)
	}
	for err = n.Submit(ctx, tx.Bytes()); errors.Is(err, node.ErrRejected); err = n.Submit(ctx, tx.Bytes()) {
		// The node's ledger lags the blocks it hands out by milliseconds.
		if ix.Tip().Slot > tip+50 {
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ix.WaitTx(ctx, id, 1); err != nil {
		t.Fatal(err)
	}
	return id
}

// The index of a real node's chain has the coins that the node says there are; the node is restarted on the way; then the
// same blocks are served with every rollback there can be, and the index ends the same.
func TestLive(t *testing.T) {
	ctx := t.Context()
	a, b := newActor(1), newActor(2)
	ncfg := testnet.NodeConfig{
		Dir: t.TempDir(), Magic: network.Magic, SlotLength: 100 * time.Millisecond, EpochLength: 2000,
		Funds: map[chain.Address]chain.Lovelace{a.addr: funds},
	}
	p, err := testnet.StartNode(ctx, ncfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Stop(context.Background()) }()
	n, err := node.Dial(ctx, node.Config{Socket: p.Socket, Network: p.Network()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	cfg := index.Config{
		Network: network, Base: index.Base{UTxOs: []chain.UTxO{genesisOutput(a.addr, funds)}},
		Watch: []index.Credential{index.PaymentOf(a.addr), index.PaymentOf(b.addr)},
	}
	ix := run(t, cfg, n)
	var ids []chain.TxID
	for i := range 3 {
		ids = append(ids, pay(t, n, ix, a, b.addr, chain.Lovelace(10_000_000+i)))
	}
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if p, err = testnet.StartNode(ctx, ncfg); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, pay(t, n, ix, b, a.addr, 5_000_000))
	for _, x := range []actor{a, b} {
		same(t, ix, n, x.addr)
	}
	blocks := capture(t, p.Socket, ids[3])
	ix.stop()

	for at := range blocks {
		t.Run(fmt.Sprintf("back to %d", at), func(t *testing.T) {
			replay(t, cfg, blocks, at, ix, ids, []chain.Address{a.addr, b.addr})
		})
	}
}

// following is an index at work.
type following struct {
	*index.Index
	stop func()
	dead chan struct{} // closed when it has stopped
}

// run opens an index in a new SQLite file and follows src until stop is called.
func run(t testing.TB, cfg index.Config, src index.Source) *following {
	t.Helper()
	return runOn(t, index.Databases[0].New(t), cfg, src)
}

func runOn(t testing.TB, dsn string, cfg index.Config, src index.Source) *following {
	t.Helper()
	ix, err := index.Open(t.Context(), dsn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ix.Register("flows/1", index.HandlerFunc(flows))
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{Index: ix, stop: cancel, dead: make(chan struct{})}
	go func() {
		defer close(f.dead)
		if err := ix.Run(ctx, src); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	f.stop = func() { cancel(); <-f.dead }
	t.Cleanup(func() { f.stop(); ix.Close() })
	return f
}

// flows is a handler that logs what goes to each address and what leaves it.
func flows(b index.Block) (es []index.Event, err error) {
	for _, t := range b.Txs {
		for _, in := range t.Inputs {
			if u, ok := b.Spent[in]; ok {
				es = append(es, index.Event{Key: u.Address.String(), Kind: "out", Payload: in.Tx[:]})
			}
		}
		for _, u := range t.Outputs {
			es = append(es, index.Event{Key: u.Address.String(), Kind: "in", Payload: u.Ref.Tx[:]})
		}
	}
	return es, nil
}

// same compares the index's coins with the node's, whose answers lag the blocks it hands out: it is given ten slots.
func same(t *testing.T, ix *following, n *node.Node, a chain.Address) {
	t.Helper()
	for last := ix.Tip().Slot + 10; ; {
		now := ix.Tip().Slot
		got, err := ix.UTxOs(t.Context(), a)
		want, err2 := n.UTxOs(t.Context(), a)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		slices.SortFunc(want, func(x, y chain.UTxO) int { return x.Ref.Compare(y.Ref) })
		if fmt.Sprint(got) == fmt.Sprint(want) && len(got) > 0 {
			return
		}
		if now > last {
			t.Fatalf("%s: the index has\n%v\nthe node has\n%v", a, got, want)
		}
	}
}

// replay serves blocks to a new index, all of them, then rolls back to before block at, and serves the rest again.
func replay(t *testing.T, cfg index.Config, blocks []rawBlock, at int, want *following, ids []chain.TxID, addrs []chain.Address) {
	w := serveChain(t, blocks, 0)
	ix := run(t, cfg, w.dial(t))
	for _, n := range []int{len(blocks), at, len(blocks)} {
		w.lead(t, ix, n)
	}
	for _, a := range addrs {
		got, err := ix.UTxOs(t.Context(), a)
		then, err2 := want.UTxOs(t.Context(), a)
		if err != nil || err2 != nil || fmt.Sprint(got) != fmt.Sprint(then) {
			t.Errorf("%v, want %v; %v, %v", got, then, err, err2)
		}
	}
	for _, id := range ids {
		p, h, ok, err := ix.TxBlock(t.Context(), id)
		p2, h2, ok2, err2 := want.TxBlock(t.Context(), id)
		if p != p2 || h != h2 || ok != ok2 || err != nil || err2 != nil {
			t.Errorf("%s is at %v, %d; want %v, %d", id, p, h, p2, h2)
		}
	}
	ix.stop()
}
