package collective

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// idle counts the ticks in which a number did not change. It counts ticks, not
// seconds, so that a pause of this whole process blames nobody.
type idle struct {
	last  uint64
	ticks int
}

// looks is how often the watchdog looks between two heartbeats.
const looks = 4

// watch sends heartbeats and finds silent peers and waits without progress.
func (g *Group) watch() {
	each := max(time.Millisecond, g.opts.Heartbeat/looks)
	tick := time.NewTicker(each)
	defer tick.Stop()
	silence, progress := ticks(g.opts.Silence, each), ticks(g.opts.Progress, each)
	silent := make([]idle, len(g.links))
	var reads, writes [lanes][]idle
	for i := range lanes {
		reads[i], writes[i] = make([]idle, len(g.links)), make([]idle, len(g.links))
	}
	var pulse control
	for beat := 0; ; beat++ {
		select {
		case <-g.quit:
			return
		case <-tick.C:
		}
		if beat%looks == 0 {
			pulse = g.pulse()
		}
		for r, l := range g.links {
			if l == nil {
				continue
			}
			if beat%looks == 0 {
				l.post(pulse)
				g.told.repeat(l)
			}
			if silent[r].step(l.heard.Load(), true) >= silence && !g.leaving.Load() {
				g.fail(&PeerError{l.rank, l.id, ErrLost, fmt.Sprintf("silent for %v", g.opts.Silence)})
			}
			for i, p := range l.pipes {
				if reads[i][r].step(p.reading.moves.Load(), p.reading.active.Load()) > progress {
					g.stuck(g.lanes[i], l, "send")
				}
				if writes[i][r].step(p.writing.moves.Load(), p.writing.active.Load()) > progress {
					g.stuck(g.lanes[i], l, "take")
				}
			}
		}
		if err := g.names.tick(g.view, progress, g.opts.Progress); err != nil {
			g.fail(err)
		}
	}
}

// step counts the ticks in which now did not change while someone waited.
func (i *idle) step(now uint64, waiting bool) int {
	if now != i.last || !waiting {
		i.last, i.ticks = now, 0
		return 0
	}
	i.ticks++
	return i.ticks
}

func ticks(d, tick time.Duration) int { return max(1, int(d/tick)) }

// stuck fails the group for want of progress and says who is not there yet.
func (g *Group) stuck(in *lane, l *link, verb string) {
	cur := in.current.Load()
	if cur == nil {
		cur = &header{} // it has just ended, or another message of the pair has
	}
	text := fmt.Sprintf("rank %d waited %v for rank %d to %s bytes of %v", g.view.Rank, g.opts.Progress, l.rank, verb, *cur)
	var late []string
	var first *link // who is to blame, rather than whom it keeps waiting
	for _, o := range g.links {
		if o != nil && slices.Contains(g.lanes[:orderedLanes], in) && o.seq.Load() < cur.seq {
			if first == nil {
				first = o
			}
			late = append(late, fmt.Sprintf("rank %d (%s)", o.rank, o.id))
		}
	}
	if len(late) > 0 {
		l = first
		text += "; not yet in it: " + strings.Join(late, ", ")
	}
	g.fail(&PeerError{l.rank, l.id, ErrTimeout, text})
}
