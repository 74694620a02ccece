package collective

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// Kind is what an operation does, by its number on the wire.
type Kind uint8

// The operations.
const (
	nothing       Kind = 0  // gate only: a round trip
	AllReduce     Kind = 1  // folds the ranks' Src element by element into every rank's Dst
	Broadcast     Kind = 2  // copies the root's Dst into everyone's
	AllGather     Kind = 3  // puts the ranks' Src one after another into every rank's Dst
	Barrier       Kind = 4  // ends when every rank has come to it
	leave         Kind = 5  // the last barrier; the gate's goodbye
	ReduceScatter Kind = 6  // folds as AllReduce, and leaves each rank its part
	AllToAll      Kind = 7  // gives each rank its part of every rank's Src
	Send          Kind = 8  // gives Src to one rank
	Receive       Kind = 9  // takes Dst from one rank
	partition     Kind = 10 // gate only: a process group
	admission     Kind = 11 // gate only: a step boundary, see Circle.Admit
	laying        Kind = 12 // between agents only: how the ranks are laid out

	lastKind = Receive
)

// String gives the operation's name.
func (k Kind) String() string {
	names := [...]string{"nothing", "allreduce", "broadcast", "allgather", "barrier", "close", "reducescatter", "alltoall", "send", "receive", "new group", "admission", "survey"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("operation %d", uint8(k))
}

// Type is what the elements are; see package kernel.
type Type = kernel.Type

// Reduce says how elements are folded; see package kernel.
type Reduce = kernel.Op

// The types and reductions of operations.
const (
	F32, F64, F16, BF16 = kernel.F32, kernel.F64, kernel.F16, kernel.BF16
	I32, I64, U8        = kernel.I32, kernel.I64, kernel.U8
	Sum, Mean           = kernel.Sum, kernel.Mean
	Min, Max, Prod      = kernel.Min, kernel.Max, kernel.Prod
)

// Wire is what a sum of float32 travels as.
type Wire uint8

// The wire formats. BF16 takes half the bytes and rounds at each rank; int8 takes a quarter, with a scale for each 1024
// values, and rounds twice. TopK sends each rank's values of the largest magnitude only, as many as [Operation.Share] says,
// exactly; the others count as zeros. What is exchanged directly, up to 16 KiB, is sent whole and not rounded, and so are
// the largest values where all ranks' together are more than there are values.
const (
	AsItIs Wire = 0
	AsBF16 Wire = 1
	AsInt8 Wire = 2
	AsTopK Wire = 3
)

// String gives the format's name.
func (w Wire) String() string {
	names := [...]string{"as it is", "as bf16", "as int8", "as its largest values"}
	if int(w) < len(names) {
		return names[w]
	}
	return fmt.Sprintf("as wire format %d", uint8(w))
}

const (
	maxName = 255
	maxDims = 8
)

// An Operation is one rank's part in an operation of the group. Every rank gives the same Kind, Type, Reduce, Wire, Share,
// Root, Name, Shape and Counts.
type Operation struct {
	Kind   Kind
	Type   Type   // of AllReduce and ReduceScatter
	Reduce Reduce // of AllReduce and ReduceScatter
	Wire   Wire   // of AllReduce: F32, Sum or Mean only
	// Share, with AsTopK, is how many of 65536 values each rank sends, rounded up.
	Share uint16
	// Root is Broadcast's source, and the other rank of Send and Receive.
	Root int
	// Name, at most 255 bytes, matches operations that ranks submit in different orders. Those without one match by their
	// order; a name is in flight once at a time.
	Name string
	// Shape, at most 8 dimensions, is compared between the ranks, no more.
	Shape []int
	// Dst and Src are the same slice or do not overlap; AllGather's Src may be this rank's place in Dst, and
	// ReduceScatter's Dst this rank's part of Src. Src is left as it was unless it is Dst.
	Dst, Src []byte
	// Residual, where Wire is not AsItIs, has Src's length: what was lost is left in it, and added to Src the next time that
	// the same is summed by the same ranks. It starts as zeros. What is lost of a value that is not finite is not kept.
	Residual []byte
	// Counts are the bytes of each rank's part: of AllGather's Dst, of ReduceScatter's Src, of AllToAll's Src. Nil: all equal.
	Counts []int
	// Receive are the bytes of each rank's part in AllToAll's Dst, which those ranks give as their Counts. Nil: all equal.
	Receive []int
}

// check completes an operation of one rank of a group, or says why it cannot be.
func (o Operation) check(rank, size int) (Operation, error) {
	bad := func(format string, a ...any) (Operation, error) {
		return o, fmt.Errorf("%w: %v: %s", ErrArgument, o, fmt.Sprintf(format, a...))
	}
	switch {
	case o.Kind < AllReduce || o.Kind > lastKind || o.Kind == leave:
		return o, fmt.Errorf("%w: no operation %d", ErrArgument, o.Kind)
	case !o.Type.Valid() || !o.Reduce.Valid() || o.Wire > AsTopK:
		return o, fmt.Errorf("%w: type %v, reduction %v, wire format %v", ErrArgument, o.Type, o.Reduce, o.Wire)
	case len(o.Name) > maxName || !utf8.ValidString(o.Name):
		return o, fmt.Errorf("%w: a name of %d bytes, want at most %d of UTF-8", ErrArgument, len(o.Name), maxName)
	case len(o.Shape) > maxDims:
		return o, fmt.Errorf("%w: %d dimensions, want at most %d", ErrArgument, len(o.Shape), maxDims)
	case len(o.Dst) > MaxOperation || len(o.Src) > MaxOperation:
		return bad("more than %d bytes", MaxOperation)
	case o.Wire != AsItIs && (o.Kind != AllReduce || o.Type != F32 || o.Reduce > Mean):
		return bad("only a sum or mean of f32 travels %v", o.Wire)
	case (o.Wire == AsTopK) != (o.Share > 0):
		return bad("a share of %d/65536", o.Share)
	case o.Wire == AsTopK && uint64(len(o.Src)) > 4<<32:
		return bad("more than 2^32 values travel %v", o.Wire)
	case o.Residual != nil && (o.Wire == AsItIs || len(o.Residual) != len(o.Src)):
		return bad("a residual of %d bytes", len(o.Residual))
	case o.Root < 0 || o.Root >= size:
		return bad("root %d of %d ranks", o.Root, size)
	case (o.Kind == Send || o.Kind == Receive) && (o.Root == rank || o.Name != ""):
		return bad("between rank %d and itself, or by name", rank)
	}
	var src, dst int // the lengths that parts make
	var err error
	switch o.Kind {
	case AllReduce:
		src, dst = len(o.Src), len(o.Src)
	case Broadcast, Receive:
		src, dst = 0, len(o.Dst)
	case Send:
		src, dst = len(o.Src), 0
	case AllGather:
		if o.Counts, dst, err = counts(o.Counts, size, len(o.Src)); err == nil {
			src = o.Counts[rank]
		}
	case ReduceScatter:
		if o.Counts, src, err = counts(o.Counts, size, len(o.Src)/size); err == nil {
			dst = o.Counts[rank]
		}
	case AllToAll:
		if o.Counts, src, err = counts(o.Counts, size, len(o.Src)/size); err == nil {
			o.Receive, dst, err = counts(o.Receive, size, len(o.Dst)/size)
		}
		if err == nil && o.Counts[rank] != o.Receive[rank] {
			return bad("%d bytes to itself, and %d from itself", o.Counts[rank], o.Receive[rank])
		}
	}
	if err != nil {
		return bad("%v", err)
	}
	if len(o.Src) != src || len(o.Dst) != dst {
		return bad("%d bytes into %d, where the parts make it %d into %d", len(o.Src), len(o.Dst), src, dst)
	}
	if o.Kind == AllReduce || o.Kind == ReduceScatter {
		for _, n := range append([]int{len(o.Src)}, o.Counts...) {
			if n%o.Type.Size() != 0 {
				return bad("%d bytes are no whole elements", n)
			}
		}
	}
	return o, nil
}

// counts are the parts' bytes, and their sum.
func counts(given []int, size, each int) ([]int, int, error) {
	if given == nil {
		given = make([]int, size)
		for i := range given {
			given[i] = each
		}
	}
	if len(given) != size {
		return nil, 0, fmt.Errorf("%d parts for %d ranks", len(given), size)
	}
	sum := 0
	for _, n := range given {
		if n < 0 || n > MaxOperation-sum {
			return nil, 0, fmt.Errorf("a part of %d bytes", n)
		}
		sum += n
	}
	return given, sum, nil
}

// String says what the operation is, as ranks compare it.
func (o Operation) String() string {
	var b strings.Builder
	b.WriteString(o.Kind.String())
	if o.Name != "" {
		fmt.Fprintf(&b, " %q", o.Name)
	}
	switch o.Kind {
	case AllReduce, ReduceScatter:
		fmt.Fprintf(&b, " (%v) of %d bytes of %v", o.Reduce, len(o.Src), o.Type)
	case AllGather, Receive:
		fmt.Fprintf(&b, " of %d bytes", len(o.Dst))
	case Broadcast:
		fmt.Fprintf(&b, " of %d bytes from rank %d", len(o.Dst), o.Root)
	case Send:
		fmt.Fprintf(&b, " of %d bytes", len(o.Src))
	}
	if len(o.Shape) > 0 {
		fmt.Fprintf(&b, " of shape %v", o.Shape)
	}
	b.WriteString(travels(o.Wire, o.Share))
	return b.String()
}

// travels says what a wire format is, if it is not the usual one.
func travels(w Wire, share uint16) string {
	switch w {
	case AsItIs:
		return ""
	case AsTopK:
		return fmt.Sprintf(" %v, %d of 65536", w, share)
	}
	return " " + w.String()
}

// header is what the operation's headers say.
func (o Operation) header() header {
	h := header{op: o.Kind, reduce: o.Reduce, typ: o.Type, wire: o.Wire, share: o.Share, root: uint16(o.Root), digest: o.digest()}
	switch o.Kind {
	case AllGather, Broadcast:
		h.bytes = uint64(len(o.Dst))
	case AllReduce, ReduceScatter, Send:
		h.bytes = uint64(len(o.Src))
	case Receive:
		h.bytes, h.op = uint64(len(o.Dst)), Send
	}
	if h.op == Send {
		h.root = 0
	}
	return h
}

// digest is of what a header has no place for; 0 when there is nothing such.
func (o Operation) digest() uint64 {
	var b []byte
	if o.Name != "" || len(o.Shape) > 0 {
		b = append(b, o.Name...)
		for _, n := range o.Shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	if o.Kind == AllGather || o.Kind == ReduceScatter {
		for _, n := range o.Counts {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	if b == nil {
		return 0
	}
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}
