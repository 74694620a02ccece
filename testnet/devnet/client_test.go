package main

import (
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"github.com/blinklabs-io/gouroboros/protocol/chainsync"
	"github.com/blinklabs-io/gouroboros/protocol/common"
)

// client speaks node-to-client to a child: one connection asks and submits, another follows the chain.
type client struct {
	*ouroboros.Connection
	follower *ouroboros.Connection
	params   *conway.ConwayProtocolParameters

	mu        sync.Mutex
	blocks    []ledger.Block // every block, in the order of their coming
	chain     []ledger.Block // what of them has not been rolled back
	rollbacks []rollback     // after the first block
	more      chan struct{}  // closed and renewed at every change
}

// rollback is one that the follower saw.
type rollback struct {
	to    common.Point
	depth int // blocks
}

func dial(t *testing.T, a announcement) *client {
	t.Helper()
	c := &client{more: make(chan struct{})}
	open := func(opts ...ouroboros.ConnectionOptionFunc) *ouroboros.Connection {
		opts = append(opts, ouroboros.WithNetworkMagic(a.Magic), ouroboros.WithNodeToNode(false), ouroboros.WithKeepAlive(false))
		conn, err := ouroboros.NewConnection(opts...)
		ok(t, err)
		ok(t, conn.Dial("unix", a.Socket))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	c.Connection = open()
	c.follower = open(ouroboros.WithChainSyncConfig(chainsync.NewConfig(
		chainsync.WithRollForwardFunc(func(_ chainsync.CallbackContext, _ uint, b any, _ chainsync.Tip) error {
			block, is := b.(ledger.Block)
			if !is {
				return errors.New("no block")
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.blocks, c.chain = append(c.blocks, block), append(c.chain, block)
			close(c.more)
			c.more = make(chan struct{})
			return nil
		}),
		chainsync.WithRollBackwardFunc(func(_ chainsync.CallbackContext, to common.Point, _ chainsync.Tip) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			kept := slices.IndexFunc(c.chain, func(b ledger.Block) bool { return b.SlotNumber() > to.Slot })
			if kept >= 0 {
				c.rollbacks = append(c.rollbacks, rollback{to, len(c.chain) - kept})
				c.chain = slices.Clone(c.chain[:kept])
			}
			close(c.more)
			c.more = make(chan struct{})
			return nil
		}),
	)))
	ok(t, c.follower.ChainSync().Client.Sync([]common.Point{common.NewPointOrigin()}))
	c.params = c.parameters(t)
	return c
}

// parameters are those in force.
func (c *client) parameters(t *testing.T) *conway.ConwayProtocolParameters {
	t.Helper()
	q := c.LocalStateQuery().Client
	ok(t, q.AcquireVolatileTip())
	p, err := q.GetCurrentProtocolParams()
	ok(t, err)
	ok(t, q.Release())
	params, is := p.(*conway.ConwayProtocolParameters)
	if !is {
		t.Fatalf("protocol parameters are %T", p)
	}
	return params
}

// await returns the first block, seen so far or to come, that want likes.
func (c *client) await(t *testing.T, what string, want func(ledger.Block) bool) ledger.Block {
	t.Helper()
	end := time.After(patience)
	for next := 0; ; {
		c.mu.Lock()
		fresh, more := c.blocks[next:], c.more
		next = len(c.blocks)
		c.mu.Unlock()
		for _, b := range fresh {
			if want(b) {
				return b
			}
		}
		select {
		case <-more:
		case <-end:
			t.Fatalf("no block with %s", what)
		}
	}
}

// tip is the last block seen.
func (c *client) tip(t *testing.T) ledger.Block {
	t.Helper()
	c.await(t, "anything", func(ledger.Block) bool { return true })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chain[len(c.chain)-1]
}

// eventually waits until what has come satisfies want, which may read the client's chain and rollbacks.
func (c *client) eventually(t *testing.T, what string, want func() bool) {
	t.Helper()
	end := time.After(patience)
	for {
		c.mu.Lock()
		more, done := c.more, want()
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-end:
			t.Fatalf("never saw %s", what)
		}
	}
}

// holds says whether the chain that has come has a transaction.
func (c *client) holds(id lcommon.Blake2b256) bool {
	return slices.ContainsFunc(c.chain, func(b ledger.Block) bool { return includes(b, id) })
}

func includes(b ledger.Block, id lcommon.Blake2b256) bool {
	return slices.ContainsFunc(b.Transactions(), func(x lcommon.Transaction) bool { return x.Hash() == id })
}

// submit hands tx in and gives the refusal.
func (c *client) submit(tx []byte) error {
	return c.LocalTxSubmission().Client.SubmitTx(ledger.TxTypeConway, tx)
}

// accepted submits tx and waits until the chain and the queries show it.
func (c *client) accepted(t *testing.T, tx []byte) {
	t.Helper()
	if err := c.submit(tx); err != nil {
		t.Fatalf("refused: %v", err)
	}
	id := txID(t, tx)
	c.eventually(t, "transaction "+id.String(), func() bool { return c.holds(id) })
	decoded, err := ledger.NewTransactionFromCbor(ledger.TxTypeConway, tx)
	ok(t, err)
	addr := decoded.Outputs()[0].Address()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, u := range c.outputs(t, addr) {
			if u.tx == id {
				return
			}
		}
	}
	t.Fatalf("the queries never showed %s", id)
}

// outputs lists what an address holds.
func (c *client) outputs(t *testing.T, a lcommon.Address) []output {
	t.Helper()
	q := c.LocalStateQuery().Client
	ok(t, q.AcquireVolatileTip())
	r, err := q.GetUTxOByAddress([]lcommon.Address{a})
	ok(t, err)
	ok(t, q.Release())
	var us []output
	for id, o := range r.Results {
		us = append(us, output{id.Hash, uint32(id.Idx), o.Amount().Uint64(), o.Assets() == nil})
	}
	return us
}

// output is an unspent one.
type output struct {
	tx       lcommon.Blake2b256
	index    uint32
	lovelace uint64
	pure     bool // lovelace only
}

func address(t *testing.T, hexa string) lcommon.Address {
	t.Helper()
	b, err := hex.DecodeString(hexa)
	ok(t, err)
	a, err := lcommon.NewAddressFromBytes(b)
	ok(t, err)
	return a
}
