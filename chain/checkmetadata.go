package chain

import (
	"fmt"
	"unicode/utf8"
)

// maxMetadataText is how long a text or byte string in metadata may be, in bytes (Shelley ledger, validMetadatum).
const maxMetadataText = 64

// checkMetadata holds auxiliary data against the hash in the body, and metadata against its format. Tally writes
// metadata alone, {label: metadatum}: scripts in auxiliary data are ErrMalformed.
func checkMetadata(aux []byte, hash *Hash256) error {
	switch {
	case aux == nil && hash == nil:
		return nil
	case hash == nil:
		return refuse("MissingTxBodyMetadataHash", "the body has no hash of the auxiliary data")
	case aux == nil:
		return refuse("MissingTxMetadata", "the body has the hash of auxiliary data, and there is none")
	case *hash != *hashOf(aux):
		return refuse("ConflictingMetadataHash", "the body has another hash than the auxiliary data")
	}
	r := metadataReader{reader: reader{b: aux}}
	var last uint64
	for i := range r.mapLen() {
		label := r.uint()
		if r.err == nil && i > 0 && label <= last {
			r.fail("label %d after label %d", label, last)
		}
		last = label
		r.metadatum(0)
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return r.invalid
}

// metadataReader reads metadata to its end and notes what the ledger's rules, not its decoder, refuse.
type metadataReader struct {
	reader
	invalid error
}

func (r *metadataReader) metadatum(depth int) {
	if depth > maxNesting {
		r.fail("metadata nested deeper than %d", maxNesting)
	}
	if r.err != nil {
		return
	}
	switch r.peek() >> 5 {
	case majorUint, majorNint:
		r.head()
	case majorBytes:
		r.short(r.bytes(MaxTxBytes))
	case majorText:
		n := r.want(majorText, "text")
		if r.err == nil && n > uint64(len(r.b)-r.off) {
			r.fail("unexpected end")
		}
		if r.err != nil {
			return
		}
		s := r.b[r.off : r.off+int(n)]
		r.off += int(n)
		if !utf8.Valid(s) {
			r.fail("text that is not UTF-8")
		}
		r.short(s)
	case majorArray:
		for n := r.array(); n > 0 && r.err == nil; n-- {
			r.metadatum(depth + 1)
		}
	case majorMap:
		for n := 2 * r.mapLen(); n > 0 && r.err == nil; n-- {
			r.metadatum(depth + 1)
		}
	default:
		r.fail("head %#x is not metadata", r.peek())
	}
}

func (r *metadataReader) short(s []byte) {
	if len(s) > maxMetadataText && r.invalid == nil {
		r.invalid = refuse("InvalidMetadata", "a string of %d bytes, at most %d", len(s), maxMetadataText)
	}
}
