package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/blinklabs-io/plutigo/data"
	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

func num(n int64) data.PlutusData { return data.NewInteger(big.NewInt(n)) }

// TestEncodeData: the encodings follow from plutus-core's encodeData (PlutusCore/Data.hs): constructor tags 121–127,
// 1280–1400 and 102, lists of indefinite length unless empty, maps of definite length, chunks of 64 bytes.
func TestEncodeData(t *testing.T) {
	two64 := new(big.Int).Lsh(big.NewInt(1), 64)
	for _, c := range []struct {
		d    data.PlutusData
		want string
	}{
		{data.NewConstr(0), "d87980"},
		{data.NewConstr(6, num(1)), "d87f9f01ff"},
		{data.NewConstr(7), "d9050080"},
		{data.NewConstr(127), "d9057880"},
		{data.NewConstr(128, num(-1)), "d8668218809f20ff"},
		{data.NewList(), "80"},
		{data.NewList(num(23), num(24), num(-25)), "9f1718183818ff"},
		{data.NewMap([][2]data.PlutusData{{num(2), data.NewList(num(0))}, {num(1), data.NewByteString(nil)}}), "a2029f00ff0140"},
		{data.NewInteger(new(big.Int).Sub(two64, big.NewInt(1))), "1bffffffffffffffff"},
		{data.NewInteger(two64), "c249010000000000000000"},
		{data.NewInteger(new(big.Int).Neg(two64)), "3bffffffffffffffff"},
		{data.NewInteger(new(big.Int).Sub(new(big.Int).Neg(two64), big.NewInt(1))), "c349010000000000000000"},
		{data.NewByteString(make([]byte, 64)), "5840" + strings.Repeat("00", 64)},
		{data.NewByteString(make([]byte, 65)), "5f5840" + strings.Repeat("00", 64) + "4100ff"},
	} {
		b, err := chain.EncodeData(c.d)
		if err != nil || hex.EncodeToString(b) != c.want {
			t.Errorf("%v: %x, want %s: %v", c.d, b, c.want, err)
			continue
		}
		back, err := chain.DecodeData(b)
		if err != nil || !back.Equal(c.d) || !chain.IsCanonicalData(b) {
			t.Errorf("%v comes back as %v: %v", c.d, back, err)
		}
	}
}

func TestDecodeDataRefuses(t *testing.T) {
	for name, h := range map[string]string{
		"nothing": "", "trailing byte": "0000", "text": "6161", "float": "f93c00", "tag": "d87880", "break": "ff",
		"open list": "9f01", "long byte string": "5841" + strings.Repeat("00", 65), "huge list": "9bffffffffffffffff",
		"nested": strings.Repeat("81", 200) + "00", "general constructor": "d86683000080", "null": "f6",
	} {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := chain.DecodeData(b); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for name, h := range map[string]string{"definite list": "8101", "indefinite map": "bf0102ff", "long number": "1801", "indefinite short bytes": "5f4101ff"} {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.DecodeData(b); err != nil || chain.IsCanonicalData(b) {
			t.Errorf("%s: must be read but is not canonical: %v", name, err)
		}
	}
}

func drawData(t *rapid.T, depth int) data.PlutusData {
	many := func() (out []data.PlutusData) {
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			out = append(out, drawData(t, depth+1))
		}
		return out
	}
	kinds := 5
	if depth > 4 {
		kinds = 2
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "int"))
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return data.NewInteger(n)
	case 1:
		return data.NewByteString(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"))
	case 2:
		return data.NewConstr(uint(rapid.IntRange(0, 300).Draw(t, "tag")), many()...)
	case 3:
		return data.NewList(many()...)
	}
	var pairs [][2]data.PlutusData
	for range rapid.IntRange(0, 3).Draw(t, "pairs") {
		pairs = append(pairs, [2]data.PlutusData{drawData(t, depth+1), drawData(t, depth+1)})
	}
	return data.NewMap(pairs)
}

// TestDataProperties: what is encoded comes back, in one encoding, which the evaluator's own encoder agrees with.
func TestDataProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawData(t, 0)
		b, err := chain.EncodeData(d)
		if err != nil {
			t.Fatal(err)
		}
		back, err := chain.DecodeData(b)
		if err != nil || !back.Equal(d) || !chain.IsCanonicalData(b) {
			t.Fatalf("%v comes back as %v: %v", d, back, err)
		}
		theirs, err := data.Encode(back)
		if err != nil || !bytes.Equal(theirs, b) {
			t.Fatalf("%v: %x, plutigo says %x: %v", d, b, theirs, err)
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	for _, s := range []string{"d87980", "9f1718183818ff", "a2029f00ff0140", "5f4101ff", "c249010000000000000000", "bf0102ff"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := chain.DecodeData(b)
		if err != nil {
			return
		}
		c, err := chain.EncodeData(d)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := chain.DecodeData(c); err != nil || !again.Equal(d) || !chain.IsCanonicalData(c) {
			t.Fatalf("%x becomes %x: %v", b, c, err)
		}
	})
}
