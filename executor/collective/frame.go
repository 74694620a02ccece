package collective

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	protocolVersion = 4
	helloBytes      = 96
	welcomeBytes    = 8
	headerBytes     = 48
	controlBytes    = 16
	maxText         = 1024
	// MaxOperation bounds one operation's buffer: 64 GiB.
	MaxOperation = 1 << 36
)

var (
	magicHello  = [4]byte{'T', 'L', 'Y', 'C'}
	magicHeader = [4]byte{'T', 'L', 'Y', 'O'}
)

type streamKind uint8

const (
	kindControl streamKind = 2
	kindLane    streamKind = 16 // and above: a lane's data stream
)

type welcomeStatus uint8

const (
	welcomeReady  welcomeStatus = 0
	welcomeAbsent welcomeStatus = 1
	welcomeView   welcomeStatus = 2
)

type hello struct {
	kind           streamKind
	epoch          uint64
	from, to, size uint32
	job            JobID
	view           [32]byte
}

func (h hello) encode() []byte {
	b := make([]byte, helloBytes)
	copy(b, magicHello[:])
	binary.LittleEndian.PutUint16(b[4:], protocolVersion)
	b[6] = byte(h.kind)
	binary.LittleEndian.PutUint64(b[8:], h.epoch)
	binary.LittleEndian.PutUint32(b[16:], h.from)
	binary.LittleEndian.PutUint32(b[20:], h.to)
	binary.LittleEndian.PutUint32(b[24:], h.size)
	copy(b[32:], h.job[:])
	copy(b[64:], h.view[:])
	return b
}

func decodeHello(b []byte) (hello, error) {
	if len(b) != helloBytes || [4]byte(b[:4]) != magicHello {
		return hello{}, fmt.Errorf("%w: hello", ErrFrame)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != protocolVersion {
		return hello{}, fmt.Errorf("%w: hello of version %d, want %d", ErrFrame, v, protocolVersion)
	}
	h := hello{
		kind:  streamKind(b[6]),
		epoch: binary.LittleEndian.Uint64(b[8:]),
		from:  binary.LittleEndian.Uint32(b[16:]),
		to:    binary.LittleEndian.Uint32(b[20:]),
		size:  binary.LittleEndian.Uint32(b[24:]),
		job:   JobID(b[32:64]),
		view:  [32]byte(b[64:96]),
	}
	switch {
	case h.kind != kindControl && (h.kind < kindLane || h.kind >= kindLane+lanes):
		return hello{}, fmt.Errorf("%w: hello for stream kind %d", ErrFrame, h.kind)
	case b[7] != 0 || binary.LittleEndian.Uint32(b[28:]) != 0:
		return hello{}, fmt.Errorf("%w: hello with reserved bytes set", ErrFrame)
	case h.size > MaxPeers || h.from >= h.size || h.to >= h.size || h.from == h.to:
		return hello{}, fmt.Errorf("%w: hello from rank %d to %d of %d", ErrFrame, h.from, h.to, h.size)
	}
	return h, nil
}

// welcome answers a hello. The port is that of the acceptor's straight lanes, or 0.
type welcome struct {
	status welcomeStatus
	port   uint16
}

func (w welcome) encode() []byte {
	b := make([]byte, welcomeBytes)
	copy(b, magicHello[:])
	b[4] = byte(w.status)
	binary.LittleEndian.PutUint16(b[6:], w.port)
	return b
}

func decodeWelcome(b []byte) (welcome, error) {
	if len(b) != welcomeBytes || [4]byte(b[:4]) != magicHello || b[5] != 0 || b[4] > byte(welcomeView) {
		return welcome{}, fmt.Errorf("%w: welcome", ErrFrame)
	}
	return welcome{welcomeStatus(b[4]), binary.LittleEndian.Uint16(b[6:])}, nil
}

// header starts each operation on a data stream.
type header struct {
	op     Kind
	reduce Reduce
	typ    Type
	wire   Wire
	root   uint16
	share  uint16
	seq    uint64
	epoch  uint64
	bytes  uint64
	digest uint64 // of name, shape and parts
}

func (h header) String() string {
	s := fmt.Sprintf("operation %d: %v", h.seq, h.op)
	switch h.op {
	case AllReduce, ReduceScatter:
		s += fmt.Sprintf(" (%v) of %d bytes of %v", h.reduce, h.bytes, h.typ)
		s += travels(h.wire, h.share)
	case Broadcast:
		s += fmt.Sprintf(" of %d bytes from rank %d", h.bytes, h.root)
	case AllGather, AllToAll, Send:
		s += fmt.Sprintf(" of %d bytes", h.bytes)
	}
	if h.digest != 0 {
		s += fmt.Sprintf(" (parts and shape %016x)", h.digest)
	}
	return s
}

func (h header) put(b []byte) {
	copy(b, magicHeader[:])
	b[4], b[5], b[6], b[7] = byte(h.op), byte(h.reduce), byte(h.typ), byte(h.wire)
	binary.LittleEndian.PutUint64(b[8:], h.seq)
	binary.LittleEndian.PutUint64(b[16:], h.epoch)
	binary.LittleEndian.PutUint64(b[24:], h.bytes)
	binary.LittleEndian.PutUint64(b[32:], h.digest)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.share)<<16|uint64(h.root))
}

func decodeHeader(b []byte) (header, error) {
	if len(b) != headerBytes || [4]byte(b[:4]) != magicHeader {
		return header{}, fmt.Errorf("%w: operation header", ErrFrame)
	}
	last := binary.LittleEndian.Uint64(b[40:])
	h := header{
		op:     Kind(b[4]),
		reduce: Reduce(b[5]),
		typ:    Type(b[6]),
		wire:   Wire(b[7]),
		root:   uint16(last),
		share:  uint16(last >> 16),
		seq:    binary.LittleEndian.Uint64(b[8:]),
		epoch:  binary.LittleEndian.Uint64(b[16:]),
		bytes:  binary.LittleEndian.Uint64(b[24:]),
		digest: binary.LittleEndian.Uint64(b[32:]),
	}
	if h.op < AllReduce || h.op > lastKind && h.op != laying || !h.reduce.Valid() || !h.typ.Valid() || h.wire > AsTopK || h.root >= MaxPeers || h.bytes > MaxOperation ||
		(h.wire == AsTopK) != (h.share > 0) || last>>32 != 0 {
		return header{}, fmt.Errorf("%w: operation header out of bounds", ErrFrame)
	}
	return h, nil
}

type controlType uint8

const (
	controlHeartbeat controlType = 1
	controlAbort     controlType = 2
	controlBye       controlType = 3
	controlReady     controlType = 4 // to rank 0: the sender has come to a named operation
	controlGo        controlType = 5 // from rank 0: all have
	controlHad       controlType = 6 // in a circle: the sender has the results of a track's operations up to this one
)

// cause is why a rank aborts: whether its machine's or its program's failure, or another machine's.
type cause uint8

const (
	causeOther   cause = 0 // the rank itself failed
	causeLost    cause = 1 // the blamed rank went away, as this one does when its agent is stopped
	causeTimeout cause = 2 // the blamed rank let the others wait too long
	causeMeets   cause = 3 // the members of a circle meet: nobody is to blame
)

// causeOf is what the others are told about a failure.
func causeOf(err error) cause {
	switch {
	case errors.Is(err, ErrTimeout):
		return causeTimeout
	case errors.Is(err, errMeets):
		return causeMeets
	case errors.Is(err, ErrLost), errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return causeLost
	}
	return causeOther
}

// kind is the error that a cause stands for.
func (c cause) kind() error {
	switch c {
	case causeLost:
		return ErrLost
	case causeTimeout:
		return ErrTimeout
	case causeMeets:
		return errMeets
	}
	return ErrAborted
}

// control is one frame of a control stream; the text follows its fixed part.
type control struct {
	typ  controlType
	why  cause // of an abort
	rank uint32
	seq  uint64
	text string
}

func (c control) encode() []byte {
	text := clip(c.text)
	b := make([]byte, controlBytes, controlBytes+len(text))
	b[0], b[1] = byte(c.typ), byte(c.why)
	binary.LittleEndian.PutUint16(b[2:], uint16(len(text)))
	binary.LittleEndian.PutUint32(b[4:], c.rank)
	binary.LittleEndian.PutUint64(b[8:], c.seq)
	return append(b, text...)
}

// decodeControl reads the fixed part and says how many bytes of text follow.
func decodeControl(b []byte) (control, int, error) {
	if len(b) != controlBytes {
		return control{}, 0, fmt.Errorf("%w: control frame", ErrFrame)
	}
	c := control{typ: controlType(b[0]), why: cause(b[1]), rank: binary.LittleEndian.Uint32(b[4:]), seq: binary.LittleEndian.Uint64(b[8:])}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if c.typ < controlHeartbeat || c.typ > controlHad || c.why > causeMeets || c.rank >= MaxPeers || n > maxText ||
		(n > 0 && (c.typ == controlBye || c.typ == controlHad)) || (c.typ == controlHeartbeat && (n%headerBytes != 0 || n > orderedLanes*headerBytes)) || (c.why != causeOther && c.typ != controlAbort) {
		return control{}, 0, fmt.Errorf("%w: control frame out of bounds", ErrFrame)
	}
	return c, n, nil
}

// clip shortens text to what a frame may carry, at a rune's edge.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
