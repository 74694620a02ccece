package collective

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// MaxPeers bounds a group: every pair of ranks holds two streams.
const MaxPeers = 256

// JobID names a job among all jobs.
type JobID [32]byte

// A View is what all ranks of a group agreed on beforehand: it must be equal
// everywhere but for Rank.
type View struct {
	Job   JobID
	Epoch uint64
	// Peers in rank order. Addresses may be empty when the host's peerstore has them.
	Peers []peer.AddrInfo
	// Rank is this host's place in Peers.
	Rank int
}

// Options are the waits of a group. Zero fields take the defaults.
type Options struct {
	// Join is how long Join waits for all peers (default 60 s).
	Join time.Duration
	// Heartbeat is the pause between heartbeats (default 1 s).
	Heartbeat time.Duration
	// Silence is how long a peer may send nothing at all before it is lost (default 5 s).
	Silence time.Duration
	// Progress is how long a wait for another rank may go without a byte. It covers
	// the time by which one rank's program may be late (default 10 min).
	Progress time.Duration

	// RankOrder has operations go round in the order of ranks, whatever lies between them: with the same view, results are
	// then the same from run to run. It is the same on every rank.
	RankOrder bool
	// Direct is how long a peer that is reached through a relay may take to be reached without (default 5 s).
	Direct time.Duration
	// Bytes and Time are what the job passes between two ranks each way, and for how long, at most: where they reach each
	// other only through a relay with limits, these must allow as much. Zero is not known, which only no limit allows.
	Bytes uint64
	Time  time.Duration

	// Meet is how long members of a circle try to find a majority (default 1 min).
	Meet time.Duration
	// Least is with how many members a circle goes on from a step boundary (default 1). Up to the next one there may be
	// fewer, by as many as there are spares.
	Least int
	// Spares come into a circle where members were lost: see [Service.Enter].
	Spares []peer.AddrInfo

	near    time.Duration // round trips below it are no distance
	noTeams bool
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Join, time.Minute)
	set(&o.Heartbeat, time.Second)
	set(&o.Silence, 5*time.Second)
	set(&o.Progress, 10*time.Minute)
	set(&o.Meet, time.Minute)
	set(&o.near, farTime)
	set(&o.Direct, 5*time.Second)
	return o
}

func (v View) check(self peer.ID) error {
	n := len(v.Peers)
	if n < 1 || n > MaxPeers {
		return fmt.Errorf("%w: %d peers, want 1 to %d", ErrView, n, MaxPeers)
	}
	if v.Rank < 0 || v.Rank >= n {
		return fmt.Errorf("%w: rank %d of %d", ErrView, v.Rank, n)
	}
	if v.Peers[v.Rank].ID != self {
		return fmt.Errorf("%w: rank %d is %s, this host is %s", ErrView, v.Rank, v.Peers[v.Rank].ID, self)
	}
	seen := make(map[peer.ID]int, n)
	for r, p := range v.Peers {
		if first, dup := seen[p.ID]; dup {
			return fmt.Errorf("%w: %s is both rank %d and rank %d", ErrView, p.ID, first, r)
		}
		seen[p.ID] = r
	}
	return nil
}

// rankOf is a peer's rank, or -1.
func (v View) rankOf(id peer.ID) int {
	return slices.IndexFunc(v.Peers, func(p peer.AddrInfo) bool { return p.ID == id })
}

// among is the view of some of its members, this one with them.
func (v View) among(members bitmap, epoch uint64) View {
	next := View{Job: v.Job, Epoch: epoch}
	for r, p := range v.Peers {
		if r == v.Rank {
			next.Rank = len(next.Peers)
		}
		if members.has(r) {
			next.Peers = append(next.Peers, p)
		}
	}
	return next
}

// hash identifies what the ranks must have in common.
func (v View) hash() [32]byte {
	h := sha256.New()
	h.Write([]byte("tally/collective/view/1"))
	h.Write(v.Job[:])
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v.Epoch)
	h.Write(b[:])
	for _, p := range v.Peers {
		binary.LittleEndian.PutUint64(b[:], uint64(len(p.ID)))
		h.Write(b[:])
		h.Write([]byte(p.ID))
	}
	return [32]byte(h.Sum(nil))
}
