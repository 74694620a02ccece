package collective

import (
	"sync"
	"time"
)

// MinRate is the least that [Service.Pace] takes, in bytes a second: below it, heartbeats would come late.
const MinRate = 64 << 10

// A pace spreads bytes over time, so that a job leaves something of its provider's line to others. The zero value lets all
// through.
type pace struct {
	mu   sync.Mutex
	rate float64   // bytes a second; 0: any
	free time.Time // when what was let through has passed
}

// after lets n bytes through and says how long to wait before them. A segment may go ahead of its time.
func (p *pace) after(now time.Time, n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate == 0 {
		return 0
	}
	passing := func(n int) time.Duration { return time.Duration(float64(n) / p.rate * float64(time.Second)) }
	if early := now.Add(-passing(segmentBytes)); p.free.Before(early) {
		p.free = early
	}
	p.free = p.free.Add(passing(n))
	return max(0, p.free.Sub(now))
}

// paces are those of both directions, of all groups of a service together.
type paces struct{ out, in pace }

// Pace bounds the bytes a second that all groups of this service together send, and those that they take; at least
// [MinRate], or 0 for any. It holds for what is sent or taken from now on.
func (s *Service) Pace(bytesPerSecond int) {
	if bytesPerSecond > 0 {
		bytesPerSecond = max(bytesPerSecond, MinRate)
	}
	for _, p := range []*pace{&s.paces.out, &s.paces.in} {
		p.mu.Lock()
		p.rate = float64(bytesPerSecond)
		p.mu.Unlock()
	}
}

// hold waits until n bytes may pass, or the group has failed. It is no wait for the other rank.
func (p *pipe) hold(w *wait, by *pace, n int) {
	d := by.after(time.Now(), n)
	if d == 0 {
		return
	}
	w.end()
	defer w.begin()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.group.done: // the stream will say so
	}
}
