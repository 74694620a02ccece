package main

import (
	"context"
	"errors"
	"sync"
)

// group runs functions side by side until one of them returns.
type group struct {
	ctx    context.Context // of the functions
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

func newGroup(ctx context.Context) *group {
	g := new(group)
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// run runs f; when it returns, the others are to end too.
func (g *group) run(f func(context.Context) error) {
	g.wg.Go(func() {
		err := f(g.ctx)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, err)
		g.cancel()
	})
}

// wait waits for all, and gives what went wrong besides that they were told to end.
func (g *group) wait() error {
	g.wg.Wait()
	g.cancel()
	var bad []error
	for _, err := range g.errs {
		if !errors.Is(err, context.Canceled) {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}
