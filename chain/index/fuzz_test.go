package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// FuzzStored: an output that a damaged database gives back is an error or an output, never a panic.
func FuzzStored(f *testing.F) {
	v := chain.Coins(5).With(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "x"}, 7)
	value, err := json.Marshal(v)
	if err != nil {
		f.Fatal(err)
	}
	a := chaintest.NewActor("alice").Address.Bytes()
	f.Add(make([]byte, 32), int64(1), a, string(value), []byte(nil))
	f.Add([]byte{1}, int64(-1), a[:5], "{", make([]byte, 40))
	f.Fuzz(func(t *testing.T, tx []byte, ix int64, address []byte, value string, spender []byte) {
		broken := errors.New("broken")
		s, err := scanUTxO(func(into ...any) error {
			for i, from := range []any{tx, ix, address, value, []byte(nil), []byte(nil), spender} {
				switch to := into[i].(type) {
				case *[]byte:
					*to = from.([]byte)
				case *int64:
					*to = from.(int64)
				case *string:
					*to = from.(string)
				default:
					return broken
				}
			}
			return nil
		})
		if errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(s.Address.Bytes(), address) {
			t.Fatalf("%x becomes %s", address, s.Address)
		}
	})
}
