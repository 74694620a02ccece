package index_test

import (
	"bytes"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger"
	"github.com/blinklabs-io/gouroboros/protocol/chainsync"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
)

// rawBlock is a block as it is on the wire.
type rawBlock struct {
	point pcommon.Point
	era   uint
	raw   []byte
}

// capture takes the raw blocks of a node's chain, from the first to the one with a transaction.
func capture(t *testing.T, socket string, until chain.TxID) []rawBlock {
	t.Helper()
	return captureTo(t, socket, func(b rawBlock) bool { return hasTx(t, b, until) })
}

// captureTo takes them to the one that is the last.
func captureTo(t *testing.T, socket string, last func(rawBlock) bool) (blocks []rawBlock) {
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
		if last(b) {
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

// wire speaks chain-sync as a node does whose chain has the first so many of its blocks: it goes there block by block
// forward, or by one rollback. A new connection starts at the first point asked for that the chain has.
type wire struct {
	blocks []rawBlock
	socket string
	done   chan struct{}

	mu      sync.Mutex
	length  int
	changed chan struct{} // closed when length changes
}

func serveChain(t testing.TB, blocks []rawBlock, length int) *wire {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{blocks: blocks, length: length, socket: l.Addr().String(), done: make(chan struct{}), changed: make(chan struct{})}
	var server sync.WaitGroup
	server.Go(func() { w.serve(t, l) })
	t.Cleanup(func() {
		close(w.done)
		l.Close()
		server.Wait()
	})
	return w
}

// dial is a node that follows it.
func (w *wire) dial(t testing.TB) *node.Node {
	t.Helper()
	n, err := node.Dial(t.Context(), node.Config{Socket: w.socket, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// lead makes its chain n blocks long and returns when the index, which follows it, is there.
func (w *wire) lead(t testing.TB, ix *following, n int) {
	t.Helper()
	w.mu.Lock()
	w.length = n
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	reach(t, ix, w.tip())
}

// tip is the hash of the last block that it has now.
func (w *wire) tip() (h chain.BlockHash) {
	n, _ := w.now()
	copy(h[:], w.point(n).Hash)
	return h
}

// reach returns when an index is at a block.
func reach(t testing.TB, ix *following, tip chain.BlockHash) {
	t.Helper()
	for {
		changed := ix.Changed()
		if ix.Tip().Hash == tip {
			return
		}
		select {
		case <-changed:
		case <-ix.dead:
			t.Fatalf("the index stopped at slot %d", ix.Tip().Slot)
		}
	}
}

// point is the last of the first n blocks.
func (w *wire) point(n int) pcommon.Point {
	if n == 0 {
		return pcommon.NewPointOrigin()
	}
	return w.blocks[n-1].point
}

func (w *wire) now() (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.length, w.changed
}

func (w *wire) serve(t testing.TB, l net.Listener) {
	var conns []*ouroboros.Connection
	defer func() {
		for _, c := range conns {
			c.Close()
			for range c.ErrorChan() {
			}
		}
	}()
	tip := chainsync.Tip{Point: w.point(len(w.blocks)), BlockNumber: uint64(len(w.blocks))}
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		at, told := 0, false // told where the chains meet
		c, err := ouroboros.NewConnection(ouroboros.WithConnection(nc), ouroboros.WithServer(true), ouroboros.WithNodeToNode(false), ouroboros.WithNetworkMagic(network.Magic),
			ouroboros.WithChainSyncConfig(chainsync.NewConfig(
				chainsync.WithFindIntersectFunc(func(_ chainsync.CallbackContext, from []pcommon.Point) (p pcommon.Point, _ chainsync.Tip, err error) {
					at, err = w.intersect(from)
					return w.point(at), tip, err
				}),
				chainsync.WithRequestNextFunc(func(ctx chainsync.CallbackContext) (err error) {
					if !told {
						told = true
						return ctx.Server.RollBackward(w.point(at), tip)
					}
					at, err = w.answer(ctx.Server, at, tip)
					return err
				}))))
		if err != nil {
			t.Error(err)
			return
		}
		conns = append(conns, c)
	}
}

// intersect is how many blocks there are up to the first of the points that the chain has.
func (w *wire) intersect(from []pcommon.Point) (int, error) {
	length, _ := w.now()
	for _, p := range from {
		for n := range length + 1 {
			if q := w.point(n); q.Slot == p.Slot && bytes.Equal(q.Hash, p.Hash) {
				return n, nil
			}
		}
	}
	return 0, chainsync.ErrIntersectNotFound
}

// answer gives the next move of a connection that has at blocks, and says how many it has then.
func (w *wire) answer(s *chainsync.Server, at int, tip chainsync.Tip) (int, error) {
	for waits := false; ; waits = true {
		length, changed := w.now()
		switch {
		case at < length:
			return at + 1, s.RollForward(w.blocks[at].era, w.blocks[at].raw, tip)
		case at > length:
			return length, s.RollBackward(w.point(length), tip)
		case !waits:
			if err := s.AwaitReply(); err != nil {
				return at, err
			}
		}
		select {
		case <-changed:
		case <-w.done:
			return at, net.ErrClosed
		}
	}
}
