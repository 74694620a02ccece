package collective

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// arrivals are those who come in after an operation at which all members agreed on it.
type arrivals struct {
	number uint64 // of that operation
	places bitmap // in the roster
}

// Admit is a step boundary. All members call it, with nothing else under way: it lets in who has asked for it, as long as
// there are fewer members than in the beginning, and gives the view in which operations are described from now on. It is
// the same on every rank. If a member has felt for some time that less comes round than was measured, they lay themselves
// out anew.
func (c *Circle) Admit(ctx context.Context) (View, error) {
	var called bitmap
	for {
		places := len(c.roster.Peers)
		mine, all := make([]byte, places+1), make([]byte, places+1)
		c.mu.Lock()
		if c.group.strain.felt() {
			mine[places] = 1
		}
		for place, at := range c.wants {
			if time.Since(at) < c.opts.Silence && c.calls[place] < maxCalls {
				mine[place] = 1
			}
		}
		c.mu.Unlock()
		var in bitmap
		t, err := c.submit(Operation{Kind: AllReduce, Type: U8, Reduce: Max, Src: mine, Dst: all}, func(t *task) {
			if in = c.comers(t.in, all[:places]); in.count() > 0 {
				c.letIn = &arrivals{t.number, in}
			}
		})
		if err != nil {
			return View{}, err
		}
		if err := c.drive(ctx, t); err != nil {
			return View{}, err
		}
		called = called.or(in)
		c.mu.Lock()
		c.call(in)
		if in.count() == 0 {
			c.miss(t.in, called)
			c.spoken = t.in
			g := c.group
			again := all[places] == 1 && g.view.Epoch == t.in.Epoch
			if again {
				c.lines = nil
			}
			c.mu.Unlock()
			if len(t.in.Peers) < c.opts.Least {
				return View{}, c.tooFew(t.in)
			}
			if again {
				c.layAgain(ctx, g)
			}
			return t.in, nil
		}
		if g := c.group; g.view.Epoch == t.in.Epoch { // all have agreed: each ends the group when it knows so, and they meet
			g.fail(&PeerError{g.view.Rank, c.service.host.ID(), errMeets, "members come in"})
		}
		c.mu.Unlock()
	}
}

// layAgain has a group measure its lines once more. If that fails, so has the group, and the next one does.
func (c *Circle) layAgain(ctx context.Context, g *Group) {
	if g.survey(ctx, nil) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.group == g {
		c.lines = g.lines
	}
}

func (c *Circle) dropArrivals() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letIn = nil
}

// comers are those of the roster who asked to come in, as many as are missing.
func (c *Circle) comers(v View, asked []byte) (in bitmap) {
	missing := c.size - len(v.Peers)
	for place, yes := range asked {
		if yes != 0 && missing > 0 && v.rankOf(c.roster.Peers[place].ID) < 0 {
			in.set(place)
			missing--
		}
	}
	return in
}

// Enter comes into a circle that stands, at its next step boundary: for a member that was lost, or one of the spares. The
// view is the one that the circle began with, and its rank this host's place in it, the spares counted after it. It ends
// with ErrOver when the circle has come to its end, and with ErrTimeout when for [Options.Join] nobody there is in one. What
// members have in common, the new one must get from them: see the first operations after [Circle.Admit].
func (s *Service) Enter(ctx context.Context, v View, o Options) (*Circle, error) {
	c, err := s.newCircle(v, o)
	if err != nil {
		return nil, err
	}
	if err := c.enter(ctx); err != nil {
		c.forget()
		return nil, fmt.Errorf("coming into the circle: %w", err)
	}
	c.begin(ctx)
	if _, err := c.Admit(ctx); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

// enter asks until this host is let in.
func (c *Circle) enter(ctx context.Context) error {
	for _, p := range c.roster.Peers {
		if p.ID != c.service.host.ID() {
			c.service.host.Peerstore().AddAddrs(p.ID, p.Addrs, time.Hour)
		}
	}
	again := time.NewTicker(c.opts.Heartbeat)
	defer again.Stop()
	seen := time.Now()
	for {
		there, over := c.knock(ctx)
		switch absent := time.Since(seen); {
		case there:
			seen = time.Now()
		case 2*over >= c.size, over > 0 && absent > c.opts.Silence:
			return fmt.Errorf("%w: %d of the others say so", ErrOver, over)
		case absent > c.opts.Join:
			return fmt.Errorf("%w: in %v, none of the others was in it", ErrTimeout, c.opts.Join)
		}
		select {
		case m := <-c.next:
			if err := c.take(ctx, m); err == nil {
				c.mu.Lock()
				c.spoken = c.view
				c.mu.Unlock()
				return nil
			}
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// knock asks all others to be let in, and says whether there is a circle, and how many say that it has come to its end.
func (c *Circle) knock(ctx context.Context) (there bool, over int) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Heartbeat)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for r, p := range c.roster.Peers {
		if r == c.roster.Rank {
			continue
		}
		wg.Go(func() {
			a, err := c.service.summon(ctx, p.ID, summons{kind: knock, job: c.roster.Job})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
			case a.status == saidElsewhere:
				there = true
			case a.status == saidOver:
				over++
			}
		})
	}
	wg.Wait()
	return there, over
}

// knocked remembers that a peer of the roster asks to come in, holding mu.
func (c *Circle) knocked(place int) answer {
	c.wants[place] = time.Now()
	if len(c.view.Peers) == 0 {
		return answer{} // so do we
	}
	return answer{status: saidElsewhere}
}

// places are a view's members in a roster.
func (v View) places(of View) (b bitmap) {
	for r, p := range v.Peers {
		if of.rankOf(p.ID) >= 0 {
			b.set(r)
		}
	}
	return b
}

// within says whether all members of a view are in another one.
func (v View) within(other View) bool {
	for _, p := range v.Peers {
		if other.rankOf(p.ID) < 0 {
			return false
		}
	}
	return true
}

func samePeer(a, b peer.AddrInfo) bool { return a.ID == b.ID }
