package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Watcher looks at a node from time to time and says when it goes away, comes back, stalls, falls behind, switches forks
// or has other parameters.
type Watcher struct {
	Node  *Node
	Every time.Duration // between two looks; 0: DefaultEvery
	Log   *slog.Logger

	mu     sync.Mutex
	health Health
}

// DefaultEvery is how often a Watcher looks.
const DefaultEvery = 10 * time.Second

// Health is how the node was doing at the last look.
func (w *Watcher) Health() Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.health
	if h.Condition == "" {
		h.Condition = Unasked
	}
	return h
}

// Run looks until ctx ends, and returns ctx's error. While the node is away it looks less and less often, at first every
// second.
func (w *Watcher) Run(ctx context.Context) error {
	every := w.Every
	if every == 0 {
		every = DefaultEvery
	}
	retry := min(time.Second, every)
	for {
		pause := every
		s, err := w.Node.Status(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if retry = min(2*retry, every); err == nil {
			retry = min(time.Second, every)
		} else {
			pause = retry
		}
		w.look(ctx, look{at: time.Now(), status: s, err: err, seen: w.Node.seen.take()})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *Watcher) look(ctx context.Context, l look) {
	h, told := w.Health().next(l)
	w.mu.Lock()
	w.health = h
	w.mu.Unlock()
	for _, n := range told {
		w.Log.Log(ctx, n.level, n.text, n.args...)
	}
}

// sight is the arrival of a block that was the node's newest.
type sight struct {
	point chain.Point
	at    time.Time
}

// rollback is a cut of the chain that is followed.
type rollback struct{ from, to chain.Point }

// sightings are what a node's other users saw since the last look.
type sightings struct {
	fresh     []sight
	rollbacks []rollback
	lost      int // connections
}

// maxSightings bounds what is kept for the next look.
const maxSightings = 16

// diary collects sightings.
type diary struct {
	mu   sync.Mutex
	seen sightings
}

func (d *diary) note(f func(*sightings)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.seen)
	d.seen.fresh = d.seen.fresh[max(0, len(d.seen.fresh)-maxSightings):]
	d.seen.rollbacks = d.seen.rollbacks[max(0, len(d.seen.rollbacks)-maxSightings):]
}

func (d *diary) take() sightings {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seen
	d.seen = sightings{}
	return s
}
