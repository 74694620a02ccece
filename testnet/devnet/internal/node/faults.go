package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/blinklabs-io/dingo"
	"github.com/blinklabs-io/dingo/chain"
	"github.com/blinklabs-io/dingo/ledger"
	"github.com/blinklabs-io/dingo/ledger/forging"
	"github.com/blinklabs-io/dingo/mempool"
	"github.com/blinklabs-io/dingo/peergov"
	"github.com/blinklabs-io/dingo/topology"
	ochainsync "github.com/blinklabs-io/gouroboros/protocol/chainsync"

	"github.com/tallycompute/tally/testnet/devnet/internal/inside"
)

// ErrFault is a fault that this chain cannot be given.
var ErrFault = errors.New("no such fault here")

// Tip is a block of the chain, its last one.
type Tip struct {
	Slot   uint64 `json:"slot"`
	Hash   string `json:"hash"` // hex
	Height uint64 `json:"height"`
}

// Faults makes a running node misbehave in ways that nodes do.
type Faults struct {
	settings Settings
	ctx      context.Context // of the forger, which is stopped and started again
	tap      *tap
	forger   *forging.BlockForger
	chain    *chain.Chain
	ledger   *ledger.LedgerState
	pool     *mempool.Mempool
	peers    *peergov.PeerGovernor
	size     *int64 // of the mempool, in bytes, under its lock

	pausing sync.Mutex // held while the forger is stopped
}

// takeOver waits until the node forges, and puts the tap before its leader schedule.
func takeOver(ctx context.Context, n *dingo.Node, s Settings, t *tap) (*Faults, error) {
	f := &Faults{settings: s, ctx: ctx, tap: t}
	at, err := inside.Field[*forging.BlockForger](n, "blockForger")
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for f.forger == nil { // the node's Run sets it last of all
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
			f.forger = (*forging.BlockForger)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(at))))
		}
	}
	schedule, err := inside.Field[forging.LeaderChecker](f.forger, "leaderChecker")
	if err != nil {
		return nil, err
	}
	state, err := inside.Field[*ledger.LedgerState](n, "ledgerState")
	if err != nil {
		return nil, err
	}
	pool, err := inside.Field[*mempool.Mempool](n, "mempool")
	if err != nil {
		return nil, err
	}
	peers, err := inside.Field[*peergov.PeerGovernor](n, "peerGov")
	if err != nil {
		return nil, err
	}
	if f.size, err = inside.Field[int64](*pool, "currentSizeBytes"); err != nil {
		return nil, err
	}
	f.ledger, f.chain, f.pool, f.peers = *state, (*state).Chain(), *pool, *peers
	f.forger.Stop() // nobody reads the schedule while it is changed
	t.LeaderChecker, t.level = *schedule, f.level
	*schedule = t
	return f, f.forger.Start(ctx)
}

// Tip is the chain's last block, as clients are told it; the ledger may have yet to apply it.
func (f *Faults) Tip() Tip { return tipOf(f.chain.Tip()) }

func tipOf(t ochainsync.Tip) Tip {
	return Tip{t.Point.Slot, fmt.Sprintf("%x", t.Point.Hash), t.BlockNumber}
}

// Pending is how many bytes of transactions wait for a block, and whether the one of this hash is among them.
func (f *Faults) Pending(hash string) (size int64, has bool) {
	_, has = f.pool.GetTransaction(hash)
	f.pool.RLock()
	defer f.pool.RUnlock()
	return *f.size, has
}

// slots is d in slots, rounded up. A chain without blocks for an epoch cannot go on, so half of one is the most.
func (f *Faults) slots(d time.Duration) (uint64, error) {
	slot := f.settings.SlotLength()
	n := uint64((max(d, 0) + slot - 1) / slot)
	if most := f.settings.EpochLength / 2; n > most {
		return 0, fmt.Errorf("%w: %s is more than half an epoch (%s), after which nothing could be forged", ErrFault, d, time.Duration(most)*slot)
	}
	return n, nil
}

// Stall forges nothing for d; 0 ends a stall. When it returns, the last block there will be is there.
func (f *Faults) Stall(ctx context.Context, d time.Duration) error {
	n, err := f.slots(d)
	if err != nil {
		return err
	}
	f.pausing.Lock()
	defer f.pausing.Unlock()
	f.forger.Stop() // waits for a block under way
	until := f.settings.Clock().Slot(time.Now()) + n
	f.tap.set(func(t *tap) { t.until = until })
	return errors.Join(f.settled(ctx), f.forger.Start(f.ctx))
}

// Slow leaves at least so much time between this producer's blocks; 0: a block in every slot.
func (f *Faults) Slow(_ context.Context, every time.Duration) error {
	n, err := f.slots(every)
	if err != nil {
		return err
	}
	f.tap.set(func(t *tap) { t.every = n })
	return nil
}

// alone is a topology without peers.
func alone() *topology.TopologyConfig { return &topology.TopologyConfig{UseLedgerAfterSlot: -1} }

// Follow makes the node take its chain from the one at an address and forge nothing itself. What waits in its mempool is
// dropped: it is offered to the other as soon as there is a connection, some of it may be spent there, and dingo v0.66.0
// takes no more transactions from a peer that offered one it refused.
func (f *Faults) Follow(address string) error {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("%w: %q is no address and port", ErrFault, address)
	}
	f.tap.set(func(t *tap) { t.shut = true })
	f.peers.LoadTopologyConfig(alone()) // forgets any other
	var waiting []string
	for _, tx := range f.pool.Transactions() {
		waiting = append(waiting, tx.Hash)
	}
	f.pool.RemoveTxsByHash(waiting)
	if err := f.peers.AddPeer(address, peergov.PeerSourceTopologyLocalRoot); err != nil {
		return fmt.Errorf("follow %s: %w", address, err)
	}
	return nil
}

// Lead makes the node follow nobody and forge.
func (f *Faults) Lead() {
	f.peers.LoadTopologyConfig(alone())
	f.tap.set(func(t *tap) { t.shut = false })
}

// Rollback takes the last blocks off the chain and returns the new tip. What they held is gone, as with any rollback: the
// transactions do not go back to the mempool. The node then forges on from there.
func (f *Faults) Rollback(ctx context.Context, blocks uint64) (Tip, error) {
	if f.settings.Producers > 1 {
		return Tip{}, fmt.Errorf("%w: the other producer would bring the blocks back at once: cut the link and let its chain grow longer", ErrFault)
	}
	if k := f.settings.SecurityParam(); blocks == 0 || blocks > k {
		return Tip{}, fmt.Errorf("%w: a rollback is of 1 to k = %d blocks, not %d", ErrFault, k, blocks)
	}
	f.pausing.Lock()
	defer f.pausing.Unlock()
	f.forger.Stop()
	tip, err := f.rollback(ctx, blocks)
	return tip, errors.Join(err, f.forger.Start(f.ctx))
}

func (f *Faults) rollback(ctx context.Context, blocks uint64) (Tip, error) {
	if err := f.settled(ctx); err != nil {
		return Tip{}, err
	}
	points := f.chain.RecentPoints(int(blocks) + 1)
	if uint64(len(points)) <= blocks {
		return Tip{}, fmt.Errorf("%w: the chain has %d blocks, and the first stays", ErrFault, len(points))
	}
	if err := f.chain.Rollback(points[blocks]); err != nil {
		return Tip{}, fmt.Errorf("roll back: %w", err)
	}
	if err := f.settled(ctx); err != nil {
		return Tip{}, err
	}
	return f.Tip(), nil
}

// settled waits until the ledger is where the chain is.
func (f *Faults) settled(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !f.level() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the ledger: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// level says whether the ledger is where the chain is.
func (f *Faults) level() bool {
	c, l := f.chain.Tip().Point, f.ledger.Tip().Point
	return c.Slot == l.Slot && bytes.Equal(c.Hash, l.Hash)
}
