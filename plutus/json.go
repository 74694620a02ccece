package plutus

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digest is 32 bytes in JSON: lower-case hex.
type digest [32]byte

func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d *digest) UnmarshalText(b []byte) error { return unhex(d[:], b, "digest") }

// unhex reads hex of an exact length.
func unhex(dst, src []byte, what string) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%s of %d digits: %w", what, len(src), ErrTerms)
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%s %q: %w", what, src, ErrTerms)
	}
	return nil
}

type (
	plainTerms Terms
	plainLot   Lot

	termsJSON struct {
		*plainTerms
		Rest digest `json:"rest"`
	}
	lotJSON struct {
		*plainLot
		Root digest `json:"root,omitzero"`
	}
)

// MarshalJSON writes hashes in hex.
func (t Terms) MarshalJSON() ([]byte, error) {
	return json.Marshal(termsJSON{(*plainTerms)(&t), t.Rest})
}

// UnmarshalJSON reads what MarshalJSON writes. It does not validate the terms.
func (t *Terms) UnmarshalJSON(b []byte) error {
	j := termsJSON{plainTerms: (*plainTerms)(t)}
	err := json.Unmarshal(b, &j)
	t.Rest = j.Rest
	return err
}

// MarshalJSON writes the root in hex.
func (l Lot) MarshalJSON() ([]byte, error) {
	return json.Marshal(lotJSON{(*plainLot)(&l), l.Root})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Lot) UnmarshalJSON(b []byte) error {
	j := lotJSON{plainLot: (*plainLot)(l)}
	err := json.Unmarshal(b, &j)
	l.Root = j.Root
	return err
}
