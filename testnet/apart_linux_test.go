package testnet_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/testnet"
)

// apart looks again and again at the participants of a world, that nothing passes between them but libp2p and the chain.
type apart struct {
	t    *testing.T
	done chan struct{}
	quit context.CancelFunc
	ctx  context.Context
	once sync.Once

	looks   int
	wrong   map[string]int // how many looks in a row saw it
	found   []string
	between map[string]bool
	err     error
}

func newApart(t *testing.T) *apart {
	a := &apart{t: t, done: make(chan struct{}), wrong: map[string]int{}, between: map[string]bool{}}
	a.ctx, a.quit = context.WithCancel(context.Background())
	t.Cleanup(a.stop)
	return a
}

const (
	lookEvery = 200 * time.Millisecond
	// A look is not one moment: connections come and go under it. What is wrong stays.
	looksInARow = 3
)

func (a *apart) start(w *testnet.World) error {
	a.once.Do(func() { go a.run(w) })
	return nil
}

func (a *apart) run(w *testnet.World) {
	defer close(a.done)
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		c, err := look(w)
		if err != nil {
			a.err = err
			return
		}
		a.looks++
		for s := range a.wrong {
			if !slices.Contains(c.wrong, s) {
				delete(a.wrong, s)
			}
		}
		slices.Sort(c.wrong)
		for _, s := range slices.Compact(c.wrong) {
			if a.wrong[s]++; a.wrong[s] == looksInARow {
				a.found = append(a.found, s)
			}
		}
		for pair := range c.between {
			a.between[pair] = true
		}
	}
}

// stop ends the looking.
func (a *apart) stop() {
	a.quit()
	a.once.Do(func() { close(a.done) })
	<-a.done
}

// judge says what was seen. A look that saw no connection at all between those who must have had one was no look.
func (a *apart) judge() {
	a.t.Helper()
	if a.err != nil {
		a.t.Errorf("looking at /proc: %v", a.err)
	}
	for _, s := range a.found {
		a.t.Error(s)
	}
	for i := range 4 {
		name := fmt.Sprint("provider-", i)
		if !a.between["requester "+name] || !a.between[name+" bootstrap"] {
			a.t.Errorf("%d looks saw no connection of %s with requester and bootstrap peer: %v", a.looks, name, a.between)
		}
	}
	if !a.between["provider-0 provider-1"] && !a.between["provider-1 provider-2"] {
		a.t.Errorf("%d looks saw no connection between providers: %v", a.looks, a.between)
	}
	a.t.Logf("%d looks at /proc: %d pairs of participants had connections, nothing else in common", a.looks, len(a.between)/2)
}
