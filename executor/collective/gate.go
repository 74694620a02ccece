package collective

import (
	"context"
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

// A desk performs a container's commands: on the job's group, and on its process groups by number.
type desk struct {
	mem    []byte
	mu     sync.Mutex
	groups []*Group // by number; 0 is the job's
}

func (d *desk) group(number uint32) (*Group, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int64(number) >= int64(len(d.groups)) {
		return nil, fmt.Errorf("%w: no process group %d", ErrArgument, number)
	}
	return d.groups[number], nil
}

// prepare gives a command its place and says how to run it. It must not wait: commands are prepared in their order. The
// group may read and write the arena while it runs, and so may the container: what it spoils so is its own result.
func (d *desk) prepare(c command) (func(context.Context) (value uint64, err error), error) {
	none := func(context.Context) (uint64, error) { return 0, nil }
	g, err := d.group(c.group)
	if err != nil {
		return nil, err
	}
	switch c.kind {
	case nothing, leave:
		return none, nil
	case partition:
		return func(ctx context.Context) (uint64, error) { return d.part(ctx, g, c.parts) }, nil
	}
	o, err := c.operation(d.mem)
	if err != nil {
		return nil, err
	}
	run, err := g.prepare(o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (uint64, error) {
		start := time.Now()
		_, err := run(ctx)
		return uint64(time.Since(start).Microseconds()), err
	}, nil
}

// part makes a process group and gives its number.
func (d *desk) part(ctx context.Context, g *Group, ranks []int) (uint64, error) {
	part, err := g.Part(ctx, ranks)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups = append(d.groups, part)
	return uint64(len(d.groups) - 1), nil
}
