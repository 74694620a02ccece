package collective

import (
	"context"
	"fmt"
	"time"
)

// byeTime bounds the wait for the others' goodbyes once all ranks are closing.
const byeTime = 5 * time.Second

// Close waits for the operations under way and until every rank closes, so that
// nothing still on its way is cut off, then ends the streams, those of its
// process groups first. It returns the failure that ended the group, if
// any, and frees everything in every case. Calling it again is harmless.
func (g *Group) Close(ctx context.Context) error {
	g.starting.Lock()
	g.closed = true // no operation starts any more
	g.starting.Unlock()
	g.mu.Lock()
	parts := g.parts
	g.parts = nil
	g.mu.Unlock()
	for _, part := range parts {
		_ = part.Close(ctx) // its failure is ours too
	}
	err := g.Err()
	if err == nil && !g.leaving.Load() {
		if err = g.last(ctx); err == nil {
			g.sayGoodbye(ctx)
		} else {
			g.fail(err)
		}
	}
	g.release()
	return err
}

// last is the barrier after which nothing follows.
func (g *Group) last(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { g.Abort(fmt.Errorf("closing: %w", context.Cause(ctx))) })
	g.ops.Wait()
	stop()
	g.starting.Lock()
	h := header{op: leave, seq: g.seq + 1, epoch: g.view.Epoch}
	g.starting.Unlock()
	l := g.lanes[h.seq%orderedLanes] // where those meet us who have not come to their end
	return l.run(ctx, l.turns.ask(), h, func(h header) error {
		if err := l.directBarrier(h); err != nil {
			return err
		}
		g.leaving.Store(true)
		return nil
	})
}

// sayGoodbye tells every peer and waits for theirs. All are past the barrier: a
// peer that is gone already had everything it needed.
func (g *Group) sayGoodbye(ctx context.Context) {
	for _, l := range g.links {
		if l != nil {
			l.post(control{typ: controlBye, rank: uint32(g.view.Rank)})
		}
	}
	t := time.NewTimer(byeTime)
	defer t.Stop()
	for _, l := range g.links {
		if l == nil {
			continue
		}
		select {
		case <-l.bye:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// release ends the streams and waits for everything the group started.
func (g *Group) release() {
	g.releases.Do(func() {
		g.service.unregister(g)
		g.mu.Lock()
		started := g.started
		if g.err == nil && !g.leaving.Load() {
			g.err = ErrClosed
			close(g.done)
		}
		g.mu.Unlock()
		g.starting.Lock()
		g.closed = true
		g.starting.Unlock()
		close(g.quit)
		g.leaving.Store(true)
		for _, l := range g.links {
			if l != nil {
				g.cut(l)
			}
		}
		g.ops.Wait()
		for _, l := range g.links {
			if l == nil {
				continue
			}
			g.service.host.ConnManager().Unprotect(l.id, g.tag())
			g.end(l, started)
		}
		g.wg.Wait()
		for _, l := range g.links {
			if l != nil && l.ctl != nil {
				_ = l.ctl.Close()
			}
		}
	})
}

// cut ends a link's data streams.
func (g *Group) cut(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range l.pipes {
		if p.stream != nil {
			_ = p.stream.Reset()
		}
	}
}

// end closes a link's control stream after what is queued on it.
func (g *Group) end(l *link, started bool) {
	g.mu.Lock()
	ctl := l.ctl
	g.mu.Unlock()
	if ctl == nil {
		return
	}
	if !started {
		_ = ctl.Reset()
		return
	}
	_ = ctl.SetReadDeadline(time.Unix(1, 0))
	close(l.end)
}
