package node

import (
	"sync"

	"github.com/blinklabs-io/dingo/ledger/forging"
)

// tap decides in which of its pool's slots the node forges.
type tap struct {
	forging.LeaderChecker // the pool's schedule: with an active slot coefficient of 1, nearly every slot
	// level says that the ledger has applied the chain's last block. dingo v0.66.0 forges without waiting for that, and then
	// a transaction of the last block gets into the next one too.
	level func() bool

	mu    sync.Mutex
	shut  bool
	until uint64 // no block before this slot
	every uint64 // slots from one block to the next, at least
	last  uint64 // slot of the last block let through
}

// ShouldProduceBlock says whether to forge in a slot.
func (t *tap) ShouldProduceBlock(slot uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut || slot < t.until || t.last > 0 && slot < t.last+t.every {
		return false
	}
	if !t.LeaderChecker.ShouldProduceBlock(slot) || !t.level() {
		return false
	}
	t.last = slot
	return true
}

func (t *tap) set(change func(*tap)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}
