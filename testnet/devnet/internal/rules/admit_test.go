package rules

import (
	"errors"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	gledger "github.com/blinklabs-io/gouroboros/ledger"
)

// minimal is a Conway transaction of one input and one output, valid from slot 5.
func minimal(t testing.TB) []byte {
	t.Helper()
	b, err := cbor.Encode([]any{
		map[uint]any{
			0: cbor.Tag{Number: 258, Content: []any{[]any{make([]byte, 32), 0}}},
			1: []any{map[uint]any{0: append([]byte{0x60}, make([]byte, 28)...), 1: 1_000_000}},
			2: 200_000,
			8: 5,
		},
		map[uint]any{},
		true, nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAdmit(t *testing.T) {
	tx := minimal(t)
	for _, x := range []struct {
		name string
		era  uint16
		raw  []byte
		now  uint64
		want error
	}{
		{"good", gledger.TxTypeConway, tx, 5, nil},
		{"too early", gledger.TxTypeConway, tx, 4, ErrLedger},
		{"another era", gledger.TxTypeBabbage, tx, 5, ErrUnsupported},
		{"a byte more", gledger.TxTypeConway, append(append([]byte{}, tx...), 0), 5, ErrMalformed},
		{"a byte less", gledger.TxTypeConway, tx[:len(tx)-1], 5, ErrMalformed},
		{"nothing", gledger.TxTypeConway, nil, 5, ErrMalformed},
		{"a number", gledger.TxTypeConway, []byte{1}, 5, ErrMalformed},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := Admit(x.era, x.raw, x.now)
			if (r == nil) != (x.want == nil) || r != nil && !errors.Is(r, x.want) {
				t.Fatalf("got %v, want %v", r, x.want)
			}
		})
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add(minimal(f), uint64(5))
	f.Fuzz(func(t *testing.T, raw []byte, now uint64) {
		r := Admit(gledger.TxTypeConway, raw, now)
		if r == nil {
			return
		}
		if _, err := r.MarshalCBOR(); err != nil {
			t.Errorf("a refusal that does not encode: %v", err)
		}
	})
}
