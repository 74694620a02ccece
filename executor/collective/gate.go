package collective

import (
	"context"
	"fmt"
	"log/slog"
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

// perform runs one checked command on the group. mem is the arena; the group
// may read and write it, and the container may write to it meanwhile: what it
// spoils so is its own result.
func (c command) perform(ctx context.Context, g *Group, mem []byte) error {
	switch c.op {
	case opAllReduce:
		return g.AllReduce(ctx, floatsOf(mem[c.dst:c.dst+c.bytes]), floatsOf(mem[c.src:c.src+c.bytes]), c.reduce)
	case opBroadcast:
		return g.Broadcast(ctx, mem[c.src:c.src+c.bytes], int(c.root))
	case opAllGather:
		return g.AllGather(ctx, mem[c.dst:c.dst+c.bytes*uint64(g.Size())], mem[c.src:c.src+c.bytes])
	case opBarrier:
		return g.Barrier(ctx)
	}
	return nil
}
