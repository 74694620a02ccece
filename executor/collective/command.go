package collective

import (
	"encoding/binary"
	"fmt"
)

const (
	gateVersion      = 1
	guestHelloBytes  = 16
	gateHelloBytes   = 64
	commandBytes     = 32
	replyBytes       = 16
	arenaAlign       = 64
	maxInFlight      = 64
	maxJobName       = 255
	minArena         = 1 << 16
	maxArena         = 1 << 36
	opGoodbye        = opClose
	defaultSocket    = "agent.sock"
	lastGuestCommand = opClose
)

var magicGate = [4]byte{'T', 'L', 'Y', 'G'}

// replyStatus is what a command came to.
type replyStatus uint32

const (
	replyDone      replyStatus = 0
	replyRefused   replyStatus = 1
	replyFailed    replyStatus = 2
	replyMalformed replyStatus = 3
)

func checkGuestHello(b []byte) error {
	if len(b) != guestHelloBytes || [4]byte(b[:4]) != magicGate {
		return fmt.Errorf("%w: the container's hello", ErrFrame)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != gateVersion {
		return fmt.Errorf("%w: the container speaks gate version %d, this agent %d", ErrFrame, v, gateVersion)
	}
	for _, c := range b[6:] {
		if c != 0 {
			return fmt.Errorf("%w: the container's hello has reserved bytes set", ErrFrame)
		}
	}
	return nil
}

func encodeGateHello(rank, size int, o GateOptions) []byte {
	b := make([]byte, gateHelloBytes, gateHelloBytes+len(o.Job))
	copy(b, magicGate[:])
	binary.LittleEndian.PutUint16(b[4:], gateVersion)
	binary.LittleEndian.PutUint16(b[6:], uint16(len(o.Job)))
	binary.LittleEndian.PutUint32(b[8:], uint32(rank))
	binary.LittleEndian.PutUint32(b[12:], uint32(size))
	binary.LittleEndian.PutUint32(b[16:], uint32(o.LocalRank))
	binary.LittleEndian.PutUint32(b[20:], uint32(o.LocalSize))
	binary.LittleEndian.PutUint64(b[24:], uint64(o.ArenaBytes))
	binary.LittleEndian.PutUint32(b[32:], maxInFlight)
	binary.LittleEndian.PutUint32(b[36:], arenaAlign)
	return append(b, o.Job...)
}

// command is one request of the container. Nothing in it is trusted.
type command struct {
	op     operation
	reduce Reduce
	root   uint16
	seq    uint32
	src    uint64
	dst    uint64
	bytes  uint64
}

func decodeCommand(b []byte) (command, error) {
	if len(b) != commandBytes {
		return command{}, fmt.Errorf("%w: a command of %d bytes", ErrFrame, len(b))
	}
	c := command{
		op:     operation(b[0]),
		reduce: Reduce(b[1]),
		root:   binary.LittleEndian.Uint16(b[2:]),
		seq:    binary.LittleEndian.Uint32(b[4:]),
		src:    binary.LittleEndian.Uint64(b[8:]),
		dst:    binary.LittleEndian.Uint64(b[16:]),
		bytes:  binary.LittleEndian.Uint64(b[24:]),
	}
	if c.op > lastGuestCommand {
		return c, fmt.Errorf("%w: unknown command %d", ErrFrame, c.op)
	}
	if c.reduce > Max {
		return c, fmt.Errorf("%w: unknown reduction %d", ErrFrame, c.reduce)
	}
	return c, nil
}

// region checks that [off, off+n) is aligned and lies in the arena.
func region(name string, off, n, arena uint64) error {
	if off%arenaAlign != 0 {
		return fmt.Errorf("%w: %s offset %d is no multiple of %d", ErrArgument, name, off, arenaAlign)
	}
	if off > arena || n > arena-off {
		return fmt.Errorf("%w: %s offset %d with %d bytes is outside the arena of %d bytes", ErrArgument, name, off, n, arena)
	}
	return nil
}

func overlap(a, an, b, bn uint64) bool { return a < b+bn && b < a+an }

// check refuses a command whose regions are not where they may be, for a group
// of that size and an arena of that many bytes.
func (c command) check(size int, arena uint64) error {
	switch c.op {
	case opAllReduce:
		if c.bytes%4 != 0 {
			return fmt.Errorf("%w: allreduce of %d bytes, no multiple of 4", ErrArgument, c.bytes)
		}
		if err := region("source", c.src, c.bytes, arena); err != nil {
			return err
		}
		if err := region("destination", c.dst, c.bytes, arena); err != nil {
			return err
		}
		if c.src != c.dst && overlap(c.src, c.bytes, c.dst, c.bytes) {
			return fmt.Errorf("%w: source offset %d and destination offset %d overlap", ErrArgument, c.src, c.dst)
		}
	case opBroadcast:
		if int(c.root) >= size {
			return fmt.Errorf("%w: root %d of %d ranks", ErrArgument, c.root, size)
		}
		return region("source", c.src, c.bytes, arena)
	case opAllGather:
		if c.bytes > arena/uint64(size) {
			return fmt.Errorf("%w: allgather of %d bytes from each of %d ranks into an arena of %d", ErrArgument, c.bytes, size, arena)
		}
		if err := region("source", c.src, c.bytes, arena); err != nil {
			return err
		}
		if err := region("destination", c.dst, c.bytes*uint64(size), arena); err != nil {
			return err
		}
		if overlap(c.src, c.bytes, c.dst, c.bytes*uint64(size)) {
			return fmt.Errorf("%w: source offset %d lies in the destination at %d", ErrArgument, c.src, c.dst)
		}
	}
	return nil
}

func encodeReply(seq uint32, s replyStatus, value uint64, text string) []byte {
	text = clip(text)
	if s != replyDone {
		value = uint64(len(text))
	}
	b := make([]byte, replyBytes, replyBytes+len(text))
	binary.LittleEndian.PutUint32(b, seq)
	binary.LittleEndian.PutUint32(b[4:], uint32(s))
	binary.LittleEndian.PutUint64(b[8:], value)
	if s == replyDone {
		return b
	}
	return append(b, text...)
}
