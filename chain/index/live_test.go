package index_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger"
	"github.com/blinklabs-io/gouroboros/protocol/chainsync"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"
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
func pay(t *testing.T, n *node.Node, ix *index.Index, a actor, to chain.Address, coin chain.Lovelace) chain.TxID {
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
	ix, _, stop := run(t, cfg, n)
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
	stop()

	for at := range blocks {
		t.Run(fmt.Sprintf("back to %d", at), func(t *testing.T) {
			replay(t, cfg, blocks, at, ix, ids, []chain.Address{a.addr, b.addr})
		})
	}
}

// run opens an index and follows src until stop is called. applied counts blocks.
func run(t *testing.T, cfg index.Config, src index.Source) (ix *index.Index, applied *atomic.Int64, stop func()) {
	t.Helper()
	ix, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	applied = new(atomic.Int64)
	ix.Register("count/1", index.HandlerFunc(func(index.Block) ([]index.Event, error) {
		applied.Add(1)
		return nil, nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ix.Run(ctx, src); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(func() { stop(); ix.Close() })
	return ix, applied, stop
}

// same compares the index's coins with the node's, whose answers lag the blocks it hands out: it is given ten slots.
func same(t *testing.T, ix *index.Index, n *node.Node, a chain.Address) {
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

// rawBlock is a block as it is on the wire.
type rawBlock struct {
	point pcommon.Point
	era   uint
	raw   []byte
}

// capture takes the raw blocks of a node's chain, from the first to the one with a transaction.
func capture(t *testing.T, socket string, until chain.TxID) (blocks []rawBlock) {
	t.Helper()
	got, done := make(chan rawBlock), make(chan struct{})
	cfg := chainsync.NewConfig(
		chainsync.WithRollForwardRawFunc(func(_ chainsync.CallbackContext, era uint, raw []byte, _ chainsync.Tip) error {
			lb, err := ledger.NewBlockFromCbor(era, raw)
			if err != nil {
				return err
			}
			select {
			case got <- rawBlock{pcommon.NewPoint(lb.SlotNumber(), lb.Hash().Bytes()), era, raw}:
			case <-done:
			}
			return nil
		}),
		chainsync.WithRollBackwardFunc(func(chainsync.CallbackContext, pcommon.Point, chainsync.Tip) error { return nil }))
	c, err := ouroboros.NewConnection(ouroboros.WithNetworkMagic(network.Magic), ouroboros.WithNodeToNode(false), ouroboros.WithChainSyncConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Dial("unix", socket); err != nil {
		t.Fatal(err)
	}
	defer func() {
		close(done)
		c.Close()
		for range c.ErrorChan() {
		}
	}()
	if err := c.ChainSync().Client.Sync(nil); err != nil {
		t.Fatal(err)
	}
	for b := range got {
		blocks = append(blocks, b)
		if hasTx(t, b, until) {
			return blocks
		}
	}
	return blocks
}

func hasTx(t *testing.T, b rawBlock, id chain.TxID) bool {
	lb, err := ledger.NewBlockFromCbor(b.era, b.raw)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(lb.Transactions(), func(x ledger.Transaction) bool { return chain.TxID(x.Hash()) == id })
}

// replay serves blocks to a new index, all of them, then rolls back to before block at, and serves the rest again.
func replay(t *testing.T, cfg index.Config, blocks []rawBlock, at int, want *index.Index, ids []chain.TxID, addrs []chain.Address) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	server.Go(func() { serve(t, l, blocks, at) })
	n, err := node.Dial(t.Context(), node.Config{Socket: l.Addr().String(), Network: network})
	if err != nil {
		t.Fatal(err)
	}
	ix, applied, stop := run(t, cfg, n)
	last := chain.BlockHash(blocks[len(blocks)-1].point.Hash)
	for {
		changed := ix.Changed()
		if applied.Load() == int64(2*len(blocks)-at) && ix.Tip().Hash == last {
			break
		}
		<-changed
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
	stop()
	n.Close()
	l.Close()
	server.Wait()
}

// serve speaks chain-sync as a node whose chain is blocks, loses all from block at, and gets them again.
func serve(t *testing.T, l net.Listener, blocks []rawBlock, at int) {
	var conns []*ouroboros.Connection
	defer func() {
		for _, c := range conns {
			c.Close()
			for range c.ErrorChan() {
			}
		}
	}()
	tip := chainsync.Tip{Point: blocks[len(blocks)-1].point, BlockNumber: uint64(len(blocks))}
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		pos, back := -1, false // -1: tell first where the chains meet
		c, err := ouroboros.NewConnection(ouroboros.WithConnection(nc), ouroboros.WithServer(true), ouroboros.WithNodeToNode(false), ouroboros.WithNetworkMagic(network.Magic),
			ouroboros.WithChainSyncConfig(chainsync.NewConfig(
				chainsync.WithFindIntersectFunc(func(chainsync.CallbackContext, []pcommon.Point) (pcommon.Point, chainsync.Tip, error) {
					return pcommon.NewPointOrigin(), tip, nil
				}),
				chainsync.WithRequestNextFunc(func(ctx chainsync.CallbackContext) error {
					switch {
					case pos < 0:
						pos = 0
						return ctx.Server.RollBackward(pcommon.NewPointOrigin(), tip)
					case pos < len(blocks):
						b := blocks[pos]
						pos++
						return ctx.Server.RollForward(b.era, b.raw, tip)
					case !back:
						back, pos = true, at
						p := pcommon.NewPointOrigin()
						if at > 0 {
							p = blocks[at-1].point
						}
						return ctx.Server.RollBackward(p, tip)
					}
					return ctx.Server.AwaitReply()
				}))))
		if err != nil {
			t.Error(err)
			return
		}
		conns = append(conns, c)
	}
}
