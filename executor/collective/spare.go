package collective

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Ending is who this member saw at the end of a circle.
type Ending struct {
	Members []peer.ID // in rank order
	// StoodBy are the spares that asked to be let in until then, and came whenever there was a place.
	StoodBy []peer.ID
}

// Ending is empty unless the circle has come to its end in order.
func (c *Circle) Ending() Ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// maxCalls bounds how often who asks to come in is let in without coming: each time, the others wait for it.
const maxCalls = 3

// call counts who is let in, holding mu.
func (c *Circle) call(in bitmap) {
	for place := range c.roster.Peers {
		if in.has(place) {
			c.calls[place]++
		}
	}
}

// came notes who is in a view, holding mu: they ask no more, and should they be lost, not yet.
func (c *Circle) came(v View) {
	for place, p := range c.roster.Peers {
		if v.rankOf(p.ID) >= 0 {
			delete(c.wants, place)
			delete(c.calls, place)
		}
	}
}

// miss notes at a step boundary, holding mu, which spares are not in although there is a place, or they were let in, or had
// been in.
func (c *Circle) miss(now View, called bitmap) {
	for place := c.size; place < len(c.roster.Peers); place++ {
		id := c.roster.Peers[place].ID
		wanted := len(now.Peers) < c.size || called.has(place) || c.spoken.rankOf(id) >= 0
		if wanted && now.rankOf(id) < 0 {
			c.missed.set(place)
		}
	}
}

// tooFew ends a circle in which a step boundary has left too few. All members find so at the same one: they need not be
// told, and must not be before they have.
func (c *Circle) tooFew(v View) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := fmt.Errorf("%w: %d members are left and no spare comes, where at least %d are wanted", ErrLost, len(v.Peers), c.opts.Least)
	c.halt(err)
	return err
}

// finish notes who came to the end of the circle, and remembers for those who ask later that it is over.
func (c *Circle) finish(v View) {
	c.mu.Lock()
	for _, p := range v.Peers {
		c.ending.Members = append(c.ending.Members, p.ID)
	}
	for place := c.size; place < len(c.roster.Peers); place++ {
		id := c.roster.Peers[place].ID
		gone := c.missed.has(place) || v.rankOf(id) < 0 && c.spoken.rankOf(id) >= 0
		if at, asked := c.wants[place]; asked && !gone && v.rankOf(id) < 0 && time.Since(at) < c.opts.Silence {
			c.ending.StoodBy = append(c.ending.StoodBy, id)
		}
	}
	c.mu.Unlock()
	c.service.remember(c.roster)
}

// over is a circle that has come to its end.
type over struct {
	roster View
	at     time.Time
}

const (
	overTime = 10 * time.Minute // for which it is remembered
	maxOvers = 256
)

// remember keeps a circle's roster for a time: those of it who still ask to come in are told that it is over.
func (s *Service) remember(roster View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := over{roster, time.Now()}
	oldest := now
	for job, o := range s.overs {
		if now.at.Sub(o.at) > overTime {
			delete(s.overs, job)
		} else if o.at.Before(oldest.at) {
			oldest = o
		}
	}
	if len(s.overs) >= maxOvers {
		delete(s.overs, oldest.roster.Job)
	}
	s.overs[roster.Job] = now
}
