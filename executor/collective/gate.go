package collective

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// GateOptions describe the container's side of one rank.
type GateOptions struct {
	// Dir is an existing directory that will hold the socket and nothing else; it
	// is what the container mounts, read-only. NewGate lets any user pass through
	// it (0711) to the socket (0666), since the container's user is not ours: keep
	// Dir's parent private.
	Dir string
	// Socket is the socket's name in Dir (default "agent.sock").
	Socket string
	// ArenaBytes is the size of the shared arena, a multiple of 4096. Its pages
	// are charged to whoever touches them first: count them in the job's memory.
	ArenaBytes int
	// Job is shown to the container (at most 255 bytes).
	Job string
	// LocalRank and LocalSize place the rank among those on this machine (0 of 1).
	LocalRank, LocalSize int
	Log                  *slog.Logger
}

func (o GateOptions) check() (GateOptions, error) {
	if o.Socket == "" {
		o.Socket = defaultSocket
	}
	if o.LocalSize == 0 {
		o.LocalSize = 1
	}
	switch {
	case o.ArenaBytes < minArena || o.ArenaBytes > maxArena || o.ArenaBytes%4096 != 0:
		return o, fmt.Errorf("%w: an arena of %d bytes, want a multiple of 4096 from %d to %d", ErrArgument, o.ArenaBytes, minArena, maxArena)
	case len(o.Job) > maxJobName:
		return o, fmt.Errorf("%w: a job name of %d bytes, want at most %d", ErrArgument, len(o.Job), maxJobName)
	case o.LocalRank < 0 || o.LocalSize < 1 || o.LocalRank >= o.LocalSize:
		return o, fmt.Errorf("%w: local rank %d of %d", ErrArgument, o.LocalRank, o.LocalSize)
	case o.Log == nil:
		return o, fmt.Errorf("%w: no logger", ErrArgument)
	}
	return o, nil
}

// A desk performs a container's commands: in its seat, and in the process groups it has made, by number.
type desk struct {
	mem   []byte
	seat  seat
	mu    sync.Mutex
	parts []*Group // numbered from 1
}

// at is where the commands for a process group are done.
func (d *desk) at(number uint32) (seat, error) {
	if number == 0 {
		return d.seat, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if int64(number) > int64(len(d.parts)) {
		return nil, fmt.Errorf("%w: no process group %d", ErrArgument, number)
	}
	return groupSeat{d.parts[number-1]}, nil
}

// prepare gives a command its place and says how to run it. It must not wait: commands are prepared in their order. The
// group may read and write the arena while it runs, and so may the container: what it spoils so is its own result.
func (d *desk) prepare(c command) (func(context.Context, *reply) error, error) {
	at, err := d.at(c.group)
	if err != nil {
		return nil, err
	}
	switch c.kind {
	case nothing, leave:
		return func(context.Context, *reply) error { return nil }, nil
	case partition:
		return func(ctx context.Context, r *reply) error { return d.part(ctx, at, c.parts, r) }, nil
	case admission:
		return func(ctx context.Context, r *reply) error {
			v, places, err := d.seat.admit(ctx)
			r.epoch, r.body = v.Epoch, encodeMembers(v.Rank, places)
			return err
		}, nil
	}
	o, err := c.operation(d.mem)
	if err != nil {
		return nil, err
	}
	run, err := at.prepare(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r *reply) (err error) {
		start := time.Now()
		r.epoch, err = run(ctx)
		r.value = uint64(time.Since(start).Microseconds())
		return err
	}, nil
}

// part makes a process group and gives its number.
func (d *desk) part(ctx context.Context, of seat, ranks []int, r *reply) error {
	part, err := of.Part(ctx, ranks)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts = append(d.parts, part)
	r.value = uint64(len(d.parts))
	return nil
}

// failed is the reply to a command that came to nothing.
func (d *desk) failed(seq uint32, err error) reply {
	r := reply{seq: seq, status: replyFailed, body: []byte(clip(err.Error()))}
	switch {
	case errors.Is(err, ErrArgument):
		r.status = replyRefused
	case d.seat.elastic() && mendable(err) && d.seat.Err() == nil:
		r.status = replyLost
	}
	return r
}
