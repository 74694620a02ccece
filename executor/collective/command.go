package collective

import (
	"encoding/binary"
	"fmt"
)

const (
	gateVersion     = 3
	guestHelloBytes = 16
	gateHelloBytes  = 64
	commandBytes    = 64
	replyBytes      = 32
	arenaAlign      = 64
	maxInFlight     = 64
	maxJobName      = 255
	minArena        = 1 << 16
	maxArena        = 1 << 36
	defaultSocket   = "agent.sock"
	noRegion        = ^uint64(0)
)

var magicGate = [4]byte{'T', 'L', 'Y', 'G'}

// replyStatus is what a command came to.
type replyStatus uint32

const (
	replyDone      replyStatus = 0
	replyRefused   replyStatus = 1
	replyFailed    replyStatus = 2
	replyMalformed replyStatus = 3
	replyLost      replyStatus = 4
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

func encodeGateHello(of seat, o GateOptions) []byte {
	v := of.Spoken()
	b := make([]byte, gateHelloBytes, gateHelloBytes+len(o.Job))
	copy(b, magicGate[:])
	binary.LittleEndian.PutUint16(b[4:], gateVersion)
	binary.LittleEndian.PutUint16(b[6:], uint16(len(o.Job)))
	binary.LittleEndian.PutUint32(b[8:], uint32(v.Rank))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(v.Peers)))
	binary.LittleEndian.PutUint32(b[16:], uint32(o.LocalRank))
	binary.LittleEndian.PutUint32(b[20:], uint32(o.LocalSize))
	binary.LittleEndian.PutUint64(b[24:], uint64(o.ArenaBytes))
	binary.LittleEndian.PutUint32(b[32:], maxInFlight)
	binary.LittleEndian.PutUint32(b[36:], arenaAlign)
	if of.elastic() {
		b[40] = 1
	}
	binary.LittleEndian.PutUint64(b[48:], v.Epoch)
	return append(b, o.Job...)
}

// encodeOver is the hello of a gate whose group has come to its end without the container.
func encodeOver() []byte {
	b := make([]byte, gateHelloBytes)
	copy(b, magicGate[:])
	binary.LittleEndian.PutUint16(b[4:], gateVersion)
	b[41] = 1
	return b
}

// command is one request of the container. Nothing in it is trusted.
type command struct {
	kind     Kind
	reduce   Reduce
	typ      Type
	wire     Wire
	seq      uint32
	root     uint16
	share    uint16
	group    uint32
	src, dst span
	residual uint64
	name     string
	shape    []int
	parts    []int // Counts, then Receive for alltoall; a process group's ranks
}

// span is a region of the arena.
type span struct{ off, n uint64 }

// tail is how many bytes follow a command's fixed part.
type tail struct{ name, dims, parts int }

func (t tail) bytes() int { return t.name + 8*(t.dims+t.parts) }

// decodeCommand reads a command's fixed part and says what follows.
func decodeCommand(b []byte) (command, tail, error) {
	if len(b) != commandBytes {
		return command{}, tail{}, fmt.Errorf("%w: a command of %d bytes", ErrFrame, len(b))
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	c := command{
		kind: Kind(b[0]), reduce: Reduce(b[1]), typ: Type(b[2]), wire: Wire(b[3]),
		seq:  binary.LittleEndian.Uint32(b[4:]),
		root: binary.LittleEndian.Uint16(b[8:]), group: binary.LittleEndian.Uint32(b[12:]),
		share: binary.LittleEndian.Uint16(b[58:]),
		src:   span{u64(16), u64(32)}, dst: span{u64(24), u64(40)}, residual: u64(48),
	}
	t := tail{name: int(b[10]), dims: int(b[11]), parts: int(binary.LittleEndian.Uint16(b[56:]))}
	switch {
	case c.kind > admission:
		return c, t, fmt.Errorf("%w: unknown command %d", ErrFrame, c.kind)
	case !c.reduce.Valid() || !c.typ.Valid() || c.wire > AsTopK:
		return c, t, fmt.Errorf("%w: unknown reduction %d, type %d or wire format %d", ErrFrame, c.reduce, c.typ, c.wire)
	case t.dims > maxDims || t.parts > 2*MaxPeers:
		return c, t, fmt.Errorf("%w: a command of %d dimensions and %d parts", ErrFrame, t.dims, t.parts)
	case u64(56)>>32 != 0:
		return c, t, fmt.Errorf("%w: a command with reserved bytes set", ErrFrame)
	}
	return c, t, nil
}

// decodeTail reads what follows.
func (c *command) decodeTail(t tail, b []byte) error {
	if len(b) != t.bytes() {
		return fmt.Errorf("%w: a command's tail of %d bytes, want %d", ErrFrame, len(b), t.bytes())
	}
	c.name, b = string(b[:t.name]), b[t.name:]
	number := func() (int, error) {
		n := binary.LittleEndian.Uint64(b)
		b = b[8:]
		if n > MaxOperation {
			return 0, fmt.Errorf("%w: a dimension or part of %d", ErrFrame, n)
		}
		return int(n), nil
	}
	for i := range t.dims + t.parts {
		n, err := number()
		if err != nil {
			return err
		}
		if i < t.dims {
			c.shape = append(c.shape, n)
		} else {
			c.parts = append(c.parts, n)
		}
	}
	return nil
}

// in checks that a region is aligned and lies in the arena, and gives its bytes.
func (s span) in(mem []byte, name string) ([]byte, error) {
	arena := uint64(len(mem))
	if s.off%arenaAlign != 0 {
		return nil, fmt.Errorf("%w: %s offset %d is no multiple of %d", ErrArgument, name, s.off, arenaAlign)
	}
	if s.off > arena || s.n > arena-s.off {
		return nil, fmt.Errorf("%w: %s offset %d with %d bytes is outside the arena of %d bytes", ErrArgument, name, s.off, s.n, arena)
	}
	return mem[s.off : s.off+s.n : s.off+s.n], nil
}

func (s span) overlaps(o span) bool { return s.off < o.off+o.n && o.off < s.off+s.n }

// operation is what the command asks of a group, in the arena; or what is wrong with its regions.
func (c command) operation(mem []byte) (o Operation, err error) {
	o = Operation{Kind: c.kind, Type: c.typ, Reduce: c.reduce, Wire: c.wire, Share: c.share, Root: int(c.root), Name: c.name, Shape: c.shape}
	if o.Src, err = c.src.in(mem, "source"); err != nil {
		return o, err
	}
	if o.Dst, err = c.dst.in(mem, "destination"); err != nil {
		return o, err
	}
	if c.src.overlaps(c.dst) && (c.kind != AllReduce || c.src != c.dst) {
		return o, fmt.Errorf("%w: source offset %d and destination offset %d overlap", ErrArgument, c.src.off, c.dst.off)
	}
	if c.residual != noRegion {
		r := span{c.residual, c.src.n}
		if o.Residual, err = r.in(mem, "residual"); err != nil {
			return o, err
		}
		if r.overlaps(c.src) || r.overlaps(c.dst) {
			return o, fmt.Errorf("%w: residual offset %d lies in the source or destination", ErrArgument, r.off)
		}
	}
	if o.Counts = c.parts; c.kind == AllToAll {
		o.Counts, o.Receive = c.parts[:len(c.parts)/2], c.parts[len(c.parts)/2:]
	}
	if len(c.parts) == 0 {
		o.Counts, o.Receive = nil, nil
	}
	return o, nil
}

// reply is what a command came to.
type reply struct {
	seq    uint32
	status replyStatus
	value  uint64
	epoch  uint64 // in which it happened
	body   []byte
}

func (r reply) encode() []byte {
	b := make([]byte, replyBytes, replyBytes+len(r.body))
	binary.LittleEndian.PutUint32(b, r.seq)
	binary.LittleEndian.PutUint32(b[4:], uint32(r.status))
	binary.LittleEndian.PutUint64(b[8:], r.value)
	binary.LittleEndian.PutUint64(b[16:], r.epoch)
	binary.LittleEndian.PutUint32(b[24:], uint32(len(r.body)))
	return append(b, r.body...)
}
