package chain

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/blinklabs-io/plutigo/data"
)

// MaxDataBytes bounds the Plutus Data that is decoded.
const MaxDataBytes = 64 << 10

// maxDataNodes bounds its parts, so that a tiny item repeated cannot take much memory.
const maxDataNodes = 16 << 10

// dataChunk is the longest byte string Plutus Data holds in one piece.
const dataChunk = 64

// EncodeData writes Plutus Data as the serialiseData builtin does (plutus-core, Codec.CBOR of Data): non-empty lists
// and constructor fields of indefinite length, maps of definite length, byte strings over 64 bytes in chunks.
func EncodeData(d data.PlutusData) ([]byte, error) { return appendData(nil, d, 0) }

func appendData(b []byte, d data.PlutusData, depth int) (_ []byte, err error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("data nested deeper than %d: %w", maxNesting, ErrMalformed)
	}
	switch x := d.(type) {
	case *data.Constr:
		switch t := uint64(x.Tag); {
		case t < 7:
			b = appendHead(b, majorTag, 121+t)
		case t < 128:
			b = appendHead(b, majorTag, 1280+t-7)
		default:
			b = appendUint(appendArray(appendHead(b, majorTag, 102), 2), t)
		}
		return appendList(b, x.Fields, depth)
	case *data.List:
		return appendList(b, x.Items, depth)
	case *data.Map:
		b = appendMap(b, len(x.Pairs))
		for _, p := range x.Pairs {
			for _, v := range p {
				if b, err = appendData(b, v, depth+1); err != nil {
					return nil, err
				}
			}
		}
		return b, nil
	case *data.Integer:
		return appendBig(b, x.Inner), nil
	case *data.ByteString:
		return appendChunks(b, x.Inner), nil
	}
	return nil, fmt.Errorf("data of type %T: %w", d, ErrMalformed)
}

func appendList(b []byte, items []data.PlutusData, depth int) (_ []byte, err error) {
	if len(items) == 0 {
		return appendArray(b, 0), nil
	}
	b = append(b, majorArray<<5|0x1f)
	for _, v := range items {
		if b, err = appendData(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, cborBreak), nil
}

func appendChunks(b, s []byte) []byte {
	if len(s) <= dataChunk {
		return appendBytes(b, s)
	}
	b = append(b, majorBytes<<5|0x1f)
	for len(s) > 0 {
		n := min(len(s), dataChunk)
		b, s = appendBytes(b, s[:n]), s[n:]
	}
	return append(b, cborBreak)
}

func appendBig(b []byte, n *big.Int) []byte {
	major, tag, m := byte(majorUint), uint64(2), n
	if n.Sign() < 0 {
		major, tag, m = majorNint, 3, new(big.Int).Not(n)
	}
	if m.IsUint64() {
		return appendHead(b, major, m.Uint64())
	}
	return appendChunks(appendHead(b, majorTag, tag), m.Bytes())
}

// DecodeData reads Plutus Data of at most MaxDataBytes in any encoding the ledger takes and forgets how it was
// encoded.
func DecodeData(b []byte) (data.PlutusData, error) {
	if len(b) > MaxDataBytes {
		return nil, fmt.Errorf("data of %d bytes, at most %d: %w", len(b), MaxDataBytes, ErrMalformed)
	}
	r := dataReader{reader: reader{b: b, lax: true}}
	d := r.data(0)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("plutus data: %w", err)
	}
	return d, nil
}

// IsCanonicalData says whether b is Plutus Data as EncodeData writes it.
func IsCanonicalData(b []byte) bool {
	d, err := DecodeData(b)
	if err != nil {
		return false
	}
	c, err := EncodeData(d)
	return err == nil && bytes.Equal(b, c)
}

type dataReader struct {
	reader
	nodes int
}

func (r *dataReader) data(depth int) data.PlutusData {
	if r.nodes++; depth > maxNesting || r.nodes > maxDataNodes {
		r.fail("data too deep or of too many parts")
	}
	if r.err != nil {
		return nil
	}
	switch r.peek() >> 5 {
	case majorUint:
		return data.NewInteger(new(big.Int).SetUint64(r.uint()))
	case majorNint:
		n := new(big.Int).SetUint64(r.want(majorNint, "a negative number"))
		return data.NewInteger(n.Not(n))
	case majorBytes:
		return data.NewByteString(r.chunks())
	case majorArray:
		return data.NewList(r.list(depth)...)
	case majorMap:
		return r.pairs(depth)
	case majorTag:
		return r.tagged(depth)
	}
	r.fail("head %#x is not Plutus Data", r.peek())
	return nil
}

func (r *dataReader) tagged(depth int) data.PlutusData {
	switch t := r.want(majorTag, "a tag"); {
	case t == 2 || t == 3:
		n := new(big.Int).SetBytes(r.chunks())
		if t == 3 {
			n.Not(n)
		}
		return data.NewInteger(n)
	case t == 102:
		if r.array() != 2 {
			r.fail("a general constructor is a pair")
		}
		return r.constr(r.uint(), depth)
	case t >= 121 && t < 128:
		return r.constr(t-121, depth)
	case t >= 1280 && t <= 1400:
		return r.constr(t-1280+7, depth)
	default:
		r.fail("tag %d is not Plutus Data", t)
		return nil
	}
}

func (r *dataReader) constr(t uint64, depth int) data.PlutusData {
	return data.NewConstr(uint(t), r.list(depth)...)
}

// indefinite reads what starts an item of indefinite length.
func (r *dataReader) indefinite(major byte) bool {
	if r.err == nil && r.peek() == major<<5|0x1f {
		r.off++
		return true
	}
	return false
}

func (r *dataReader) more() bool {
	if r.err != nil {
		return false
	}
	if r.off >= len(r.b) {
		r.fail("unexpected end")
		return false
	}
	if r.b[r.off] == cborBreak {
		r.off++
		return false
	}
	return true
}

func (r *dataReader) list(depth int) []data.PlutusData {
	out := []data.PlutusData{}
	if r.indefinite(majorArray) {
		for r.more() {
			out = append(out, r.data(depth+1))
		}
		return out
	}
	for n := r.array(); n > 0 && r.err == nil; n-- {
		out = append(out, r.data(depth+1))
	}
	return out
}

func (r *dataReader) pairs(depth int) data.PlutusData {
	out := [][2]data.PlutusData{}
	if r.indefinite(majorMap) {
		for r.more() {
			out = append(out, [2]data.PlutusData{r.data(depth + 1), r.data(depth + 1)})
		}
		return data.NewMap(out)
	}
	for n := r.mapLen(); n > 0 && r.err == nil; n-- {
		out = append(out, [2]data.PlutusData{r.data(depth + 1), r.data(depth + 1)})
	}
	return data.NewMap(out)
}

// chunks reads a byte string in one piece or in several, none over 64 bytes.
func (r *dataReader) chunks() []byte {
	if !r.indefinite(majorBytes) {
		return bytes.Clone(r.bytes(dataChunk))
	}
	out := []byte{}
	for r.more() {
		out = append(out, r.bytes(dataChunk)...)
	}
	return out
}
