package collective

import (
	"context"
	"time"
)

// byeTime bounds the wait for the others' goodbyes once all ranks are closing.
const byeTime = 5 * time.Second

// Close waits until every rank closes, so that nothing still on its way is cut
// off, then ends the streams. It returns the failure that ended the group, if
// any, and frees everything in every case. Calling it again is harmless.
func (g *Group) Close(ctx context.Context) error {
	err := g.Err()
	if err == nil && !g.leaving.Load() {
		err = g.run(ctx, header{op: opClose}, func(h header) error {
			if err := g.directBarrier(h); err != nil {
				return err
			}
			g.leaving.Store(true)
			return nil
		})
		if err == nil {
			g.sayGoodbye(ctx)
		} else {
			g.fail(err)
		}
	}
	g.release()
	return err
}

// sayGoodbye tells every peer and waits for theirs. All are past the barrier: a
// peer that is gone already had everything it needed.
func (g *Group) sayGoodbye(ctx context.Context) {
	for _, l := range g.links {
		if l != nil {
			l.post(control{typ: controlBye, rank: uint32(g.view.Rank), seq: g.seq})
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
		close(g.quit)
		g.leaving.Store(true)
		<-g.turn // no operation is running any more, and none will
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

// end closes a link's streams: data at once, control after what is queued on it.
func (g *Group) end(l *link, started bool) {
	g.mu.Lock()
	data, ctl := l.data, l.ctl
	g.mu.Unlock()
	if data != nil {
		_ = data.Reset()
	}
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
