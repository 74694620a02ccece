package chain

import "fmt"

// wire is one CBOR item with how it was written: what is read is written in the same bytes, in any encoding.
type wire struct {
	first byte   // initial byte of the head
	arg   uint64 // the number in the head
	text  []byte // what a string of definite length holds
	of    []wire // elements; of a map keys and values in turn; of a string of indefinite length its pieces; of a tag its item
}

// indefinite is the low part of a head's initial byte that says: until a break.
const indefinite = 0x1f

// parseWire reads one item of at most limit bytes, and nothing after it.
func parseWire(b []byte, limit int) (wire, error) {
	if len(b) > limit {
		return wire{}, fmt.Errorf("%d bytes, at most %d: %w", len(b), limit, ErrMalformed)
	}
	r := reader{b: b, lax: true}
	w := r.wire(0)
	return w, r.end()
}

func (r *reader) wire(depth int) (w wire) {
	if depth > maxNesting {
		r.fail("nested deeper than %d", maxNesting)
	}
	w.first = r.peek()
	major := w.major()
	if w.endless() {
		if major < majorBytes || major > majorMap {
			r.fail("head %#x", w.first)
		}
		if r.err == nil {
			r.off++
		}
		for r.err == nil && r.peek() != cborBreak {
			piece := r.wire(depth + 1)
			if major < majorArray && (piece.major() != major || piece.endless()) {
				r.fail("a string in pieces of another kind")
			}
			w.of = append(w.of, piece)
		}
		if major == majorMap && len(w.of)%2 != 0 {
			r.fail("a key without a value")
		}
		r.off++ // the break
		return w
	}
	_, w.arg = r.head()
	n := 0
	switch major {
	case majorBytes, majorText:
		if r.err == nil && w.arg > uint64(len(r.b)-r.off) {
			r.fail("unexpected end")
		}
		if r.err == nil {
			w.text = r.b[r.off : r.off+int(w.arg) : r.off+int(w.arg)]
			r.off += int(w.arg)
		}
	case majorArray, majorMap:
		if r.err == nil && w.arg > uint64(len(r.b)-r.off) {
			r.fail("%d elements in %d bytes", w.arg, len(r.b)-r.off)
		}
		if n = int(w.arg); major == majorMap {
			n *= 2
		}
	case majorTag:
		n = 1
	}
	for ; n > 0 && r.err == nil; n-- {
		w.of = append(w.of, r.wire(depth+1))
	}
	return w
}

func (w wire) major() byte { return w.first >> 5 }

func (w wire) endless() bool { return w.first&indefinite == indefinite }

// appendHead writes w's head as it was.
func (w wire) appendHead(b []byte) []byte {
	b = append(b, w.first)
	if info := w.first & indefinite; info >= 24 && !w.endless() {
		for shift := 8<<(info-24) - 8; shift >= 0; shift -= 8 {
			b = append(b, byte(w.arg>>shift))
		}
	}
	return b
}

// append writes w as it was.
func (w wire) append(b []byte) []byte {
	b = append(w.appendHead(b), w.text...)
	for _, x := range w.of {
		b = x.append(b)
	}
	if w.endless() {
		b = append(b, cborBreak)
	}
	return b
}

// bytes is w as it was.
func (w wire) bytes() []byte { return w.append(nil) }

// around is w's head, other contents of the same number, and its end.
func (w wire) around(parts ...[]byte) []byte {
	b := w.appendHead(nil)
	for _, p := range parts {
		b = append(b, p...)
	}
	if w.endless() {
		b = append(b, cborBreak)
	}
	return b
}

// more is an array, tagged or not, with elements added at its end.
func (w wire) more(elements ...[]byte) []byte {
	if w.major() == majorTag {
		return append(w.appendHead(nil), w.of[0].more(elements...)...)
	}
	if !w.endless() {
		w.arg = uint64(len(w.of) + len(elements))
		w.first = appendHead(nil, majorArray, w.arg)[0]
	}
	parts := make([][]byte, 0, len(w.of)+len(elements))
	for _, x := range w.of {
		parts = append(parts, x.bytes())
	}
	return w.around(append(parts, elements...)...)
}

// plain writes what w says with the shortest numbers and definite lengths. Nothing is put in order, and what is inside
// byte strings stays as it is.
func (w wire) plain(b []byte) []byte {
	switch major := w.major(); major {
	case majorBytes, majorText:
		text := w.text
		for _, piece := range w.of {
			text = append(text, piece.text...)
		}
		return append(appendHead(b, major, uint64(len(text))), text...)
	case majorArray:
		b = appendHead(b, major, uint64(len(w.of)))
	case majorMap:
		b = appendHead(b, major, uint64(len(w.of)/2))
	case majorOther:
		return w.append(b)
	default:
		b = appendHead(b, major, w.arg)
	}
	for _, x := range w.of {
		b = x.plain(b)
	}
	return b
}

// elements are the items of an array, which may be tagged as a set.
func (w wire) elements() ([]wire, bool) {
	if w.major() == majorTag && w.arg == tagSet {
		w = w.of[0]
	}
	return w.of, w.major() == majorArray
}

// number is an unsigned number.
func (w wire) number() (uint64, bool) { return w.arg, w.major() == majorUint }

// field finds the value of a numbered key of a map.
func (w wire) field(key uint64) (wire, bool) {
	for i := 0; w.major() == majorMap && i < len(w.of); i += 2 {
		if k, ok := w.of[i].number(); ok && k == key {
			return w.of[i+1], true
		}
	}
	return wire{}, false
}
