package chain

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// CBOR major types (RFC 8949, section 3.1).
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7
)

// Tags used in transactions.
const (
	tagEncoded = 24  // a byte string that holds CBOR
	tagSet     = 258 // a set
	tagAux     = 259 // auxiliary data since Alonzo
)

const (
	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
	cborBreak = 0xff
)

// appendHead writes the head of an item with the shortest form of n.
func appendHead(b []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(b, m|byte(n))
	case n < 1<<8:
		return append(b, m|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, m|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, m|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, m|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNint, uint64(-(n + 1)))
	}
	return appendUint(b, uint64(n))
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(s))), s...) }

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

func appendMap(b []byte, n int) []byte { return appendHead(b, majorMap, uint64(n)) }

func appendSet(b []byte, n int) []byte { return appendArray(appendHead(b, majorTag, tagSet), n) }

// appendEncoded writes CBOR inside a byte string (tag 24).
func appendEncoded(b, inner []byte) []byte {
	return appendBytes(appendHead(b, majorTag, tagEncoded), inner)
}

func appendRef(b []byte, r OutRef) []byte {
	return appendUint(appendBytes(appendArray(b, 2), r.Tx[:]), uint64(r.Index))
}

func appendRefs(b []byte, rs []OutRef) []byte {
	b = appendSet(b, len(rs))
	for _, r := range rs {
		b = appendRef(b, r)
	}
	return b
}

// canonicalAssets orders assets as map keys: by policy, then by length of the name, then by the name (RFC 7049,
// section 3.9, which CIP-21 asks for).
func canonicalAssets(a, b AssetID) int {
	return cmp.Or(slices.Compare(a.Policy[:], b.Policy[:]), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
}

// appendAssets writes {policy: {name: quantity}}.
func appendAssets[Q uint64 | int64](b []byte, m map[AssetID]Q, quantity func([]byte, Q) []byte) []byte {
	ids := make([]AssetID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, canonicalAssets)
	policies := 0
	for i, id := range ids {
		if i == 0 || ids[i-1].Policy != id.Policy {
			policies++
		}
	}
	b = appendMap(b, policies)
	for i := 0; i < len(ids); {
		j := i
		for j < len(ids) && ids[j].Policy == ids[i].Policy {
			j++
		}
		b = appendMap(appendBytes(b, ids[i].Policy[:]), j-i)
		for ; i < j; i++ {
			b = quantity(appendBytes(b, []byte(ids[i].Name)), m[ids[i]])
		}
	}
	return b
}

// reader reads the one canonical encoding: shortest heads, definite lengths. Its first error sticks; after it every
// method returns a zero value and loops end.
type reader struct {
	b     []byte
	off   int
	lax   bool     // heads need not be in their shortest form
	free  bool     // sets need no tag, nothing an order, and outputs may have their older forms
	what  string   // the output that is read, in words
	notes []string // what free reading found and has no place for
	err   error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: %s: %w", r.off, fmt.Sprintf(format, args...), ErrMalformed)
	}
}

func (r *reader) peek() byte {
	if r.err != nil || r.off >= len(r.b) {
		return 0
	}
	return r.b[r.off]
}

// head reads a head. Only definite lengths and shortest forms pass.
func (r *reader) head() (major byte, n uint64) {
	if r.err != nil {
		return 0, 0
	}
	if r.off >= len(r.b) {
		r.fail("unexpected end")
		return 0, 0
	}
	major, info := r.b[r.off]>>5, r.b[r.off]&0x1f
	rest := r.b[r.off+1:]
	size := 0
	switch {
	case info < 24:
		r.off++
		return major, uint64(info)
	case info <= 27:
		size = 1 << (info - 24)
	default:
		r.fail("head %#x", r.b[r.off])
		return 0, 0
	}
	if len(rest) < size {
		r.fail("unexpected end")
		return 0, 0
	}
	for _, c := range rest[:size] {
		n = n<<8 | uint64(c)
	}
	if !r.lax && major != majorOther && (size == 1 && n < 24 || size > 1 && n>>(4*size) == 0) {
		r.fail("number not in its shortest form")
		return 0, 0
	}
	r.off += 1 + size
	return major, n
}

func (r *reader) want(major byte, what string) uint64 {
	m, n := r.head()
	if r.err == nil && m != major {
		r.fail("want %s, have major type %d", what, m)
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) uint() uint64 { return r.want(majorUint, "an unsigned number") }

func (r *reader) int() int64 {
	m, n := r.head()
	if r.err == nil && (m > majorNint || n > 1<<63-1) {
		r.fail("want a number of 64 bits")
	}
	switch {
	case r.err != nil:
		return 0
	case m == majorNint:
		return -1 - int64(n)
	}
	return int64(n)
}

// bytes reads a byte string of at most limit bytes; it is not copied.
func (r *reader) bytes(limit int) []byte {
	n := r.want(majorBytes, "a byte string")
	if r.err == nil && n > uint64(limit) {
		r.fail("byte string of %d bytes, at most %d", n, limit)
	}
	if r.err == nil && n > uint64(len(r.b)-r.off) {
		r.fail("unexpected end")
	}
	if r.err != nil {
		return nil
	}
	s := r.b[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return s
}

// fixed fills dst from a byte string of exactly its length.
func (r *reader) fixed(dst []byte) {
	if s := r.bytes(len(dst)); r.err == nil && len(s) != len(dst) {
		r.fail("byte string of %d bytes, want %d", len(s), len(dst))
	} else {
		copy(dst, s)
	}
}

// count reads the head of an array or a map; every element takes a byte at least, so the input bounds it.
func (r *reader) count(major byte, what string) int {
	n := r.want(major, what)
	if r.err == nil && n > uint64(len(r.b)-r.off) {
		r.fail("%s of %d elements in %d bytes", what, n, len(r.b)-r.off)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) array() int  { return r.count(majorArray, "an array") }
func (r *reader) mapLen() int { return r.count(majorMap, "a map") }

func (r *reader) tag(want uint64) {
	if n := r.want(majorTag, "a tag"); r.err == nil && n != want {
		r.fail("tag %d, want %d", n, want)
	}
}

func (r *reader) set() int {
	if !r.free || r.peek()>>5 == majorTag {
		r.tag(tagSet)
	}
	return r.array()
}

// encoded reads a byte string with tag 24.
func (r *reader) encoded(limit int) []byte {
	r.tag(tagEncoded)
	return r.bytes(limit)
}

func (r *reader) ref() (o OutRef) {
	if r.array() != 2 {
		r.fail("an input is a pair")
	}
	r.fixed(o.Tx[:])
	n := r.uint()
	if n > 1<<16-1 {
		r.fail("output index %d", n)
	}
	o.Index = uint32(n)
	return o
}

func (r *reader) refs() []OutRef {
	n := r.set()
	if n == 0 && !r.free {
		r.fail("empty set")
	}
	var out []OutRef
	for range n {
		if r.err != nil {
			return nil
		}
		out = append(out, r.ref())
	}
	if !r.free {
		return out
	}
	sorted := sortedRefs(out)
	if len(sorted) != len(out) {
		r.fail("an input twice")
	}
	return sorted
}

// assets reads {policy: {name: quantity}} in canonical order without empty maps and zero quantities.
func assets[Q uint64 | int64](r *reader, quantity func() Q) map[AssetID]Q {
	m := map[AssetID]Q{}
	n := r.mapLen()
	if n == 0 && !r.free {
		r.fail("no assets")
	}
	var prev AssetID
	policies := map[ScriptHash]bool{}
	for i := range n {
		var id AssetID
		r.fixed(id.Policy[:])
		if policies[id.Policy] {
			r.fail("policy %s twice", id.Policy)
		}
		policies[id.Policy] = true
		k := r.mapLen()
		if k == 0 {
			r.fail("policy without assets")
		}
		for j := range k {
			id.Name = string(r.bytes(32))
			q := quantity()
			if r.err != nil {
				return nil
			}
			if q == 0 {
				r.fail("quantity 0 of %s", id)
			}
			if _, twice := m[id]; twice || !r.free && (i > 0 || j > 0) && canonicalAssets(prev, id) >= 0 {
				r.fail("assets out of order, or one twice")
			}
			m[id], prev = q, id
		}
		if r.err != nil {
			return nil
		}
	}
	return m
}

// maxNesting bounds the depth of anything read.
const maxNesting = 128

// item skips one item of any form, indefinite lengths included, and returns its bytes.
func (r *reader) item() []byte {
	start, lax := r.off, r.lax
	r.lax = true
	r.skip(0)
	r.lax = lax
	if r.err != nil {
		return nil
	}
	return r.b[start:r.off:r.off]
}

func (r *reader) skip(depth int) {
	if depth > maxNesting {
		r.fail("nested deeper than %d", maxNesting)
	}
	if r.err != nil {
		return
	}
	if first := r.peek(); first&0x1f == 0x1f && first != cborBreak {
		m := first >> 5
		if m != majorBytes && m != majorText && m != majorArray && m != majorMap {
			r.fail("head %#x", first)
			return
		}
		for r.off++; r.err == nil && r.peek() != cborBreak; {
			r.skip(depth + 1)
		}
		r.off++
		return
	}
	m, n := r.head()
	switch m {
	case majorBytes, majorText:
		if n > uint64(len(r.b)-r.off) {
			r.fail("unexpected end")
			return
		}
		r.off += int(n)
	case majorArray, majorMap:
		if n > uint64(len(r.b)-r.off) {
			r.fail("unexpected end")
			return
		}
		if m == majorMap {
			n *= 2
		}
		for ; n > 0 && r.err == nil; n-- {
			r.skip(depth + 1)
		}
	case majorTag:
		r.skip(depth + 1)
	}
}

// end refuses what follows the last item.
func (r *reader) end() error {
	if r.err == nil && r.off != len(r.b) {
		r.fail("%d bytes too many", len(r.b)-r.off)
	}
	return r.err
}
