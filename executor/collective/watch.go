package collective

import (
	"fmt"
	"strings"
	"time"
)

// pulse is what the watchdog remembers of a link between two ticks. It counts
// ticks, not seconds, so that a pause of this whole process blames nobody.
type pulse struct {
	heard                 uint64
	silent                int
	readMoves, writeMoves uint64
	readIdle, writeIdle   int
}

// watch sends heartbeats and finds silent peers and waits without progress.
func (g *Group) watch() {
	tick := time.NewTicker(g.opts.Heartbeat)
	defer tick.Stop()
	silence := ticks(g.opts.Silence, g.opts.Heartbeat)
	progress := ticks(g.opts.Progress, g.opts.Heartbeat)
	pulses := make([]pulse, len(g.links))
	for {
		select {
		case <-g.quit:
			return
		case <-tick.C:
		}
		var seq uint64
		if cur := g.current.Load(); cur != nil {
			seq = cur.seq
		}
		for r, l := range g.links {
			if l == nil {
				continue
			}
			l.post(control{typ: controlHeartbeat, rank: uint32(g.view.Rank), seq: seq})
			p := &pulses[r]
			if step(l.heard.Load(), &p.heard, &p.silent, true) > silence && !g.leaving.Load() {
				g.fail(&PeerError{l.rank, l.id, ErrLost, fmt.Sprintf("silent for %v", g.opts.Silence)})
			}
			if step(l.reading.moves.Load(), &p.readMoves, &p.readIdle, l.reading.active.Load()) > progress {
				g.stuck(l, "send")
			}
			if step(l.writing.moves.Load(), &p.writeMoves, &p.writeIdle, l.writing.active.Load()) > progress {
				g.stuck(l, "take")
			}
		}
	}
}

// step counts the ticks in which now did not change while someone waited.
func step(now uint64, last *uint64, idle *int, waiting bool) int {
	if now != *last || !waiting {
		*last, *idle = now, 0
		return 0
	}
	*idle++
	return *idle
}

func ticks(d, tick time.Duration) int { return max(1, int(d/tick)) }

// stuck fails the group for want of progress and says who is not there yet.
func (g *Group) stuck(l *link, verb string) {
	cur := g.current.Load()
	if cur == nil {
		return
	}
	text := fmt.Sprintf("rank %d waited %v for rank %d to %s bytes of %v", g.view.Rank, g.opts.Progress, l.rank, verb, *cur)
	var late []string
	for _, o := range g.links {
		if o != nil && o.seq.Load() < cur.seq {
			late = append(late, fmt.Sprintf("rank %d (%s)", o.rank, o.id))
		}
	}
	if len(late) > 0 {
		text += "; not yet in it: " + strings.Join(late, ", ")
	}
	g.fail(&PeerError{l.rank, l.id, ErrTimeout, text})
}
