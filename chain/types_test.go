package chain_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

// TestAddress uses CIP-19's test vectors.
func TestAddress(t *testing.T) {
	const key, stake, hash = "9493315cd92eb5d8c4304e67b7e16ae36d61d34502694657811a2c8e", "337b62cfff6403a06a3acbc34f8c46003c69fe79a3628cefa9c47251", "c37b1b5dc0669f1d3c61a6fddb2e8fde96be87b881c60bce8e8d542f"
	for s, want := range map[string]struct{ key, script, stake string }{
		"addr1qx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer3n0d3vllmyqwsx5wktcd8cc3sq835lu7drv2xwl2wywfgse35a3x":      {key, "", stake},
		"addr_test1qz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer3n0d3vllmyqwsx5wktcd8cc3sq835lu7drv2xwl2wywfgs68faae": {key, "", stake},
		"addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8":                                                   {key, "", ""},
		"addr1w8phkx6acpnf78fuvxn0mkew3l0fd058hzquvz7w36x4gtcyjy7wx":                                                   {"", hash, ""},
		"addr_test1wrphkx6acpnf78fuvxn0mkew3l0fd058hzquvz7w36x4gtcl6szpr":                                              {"", hash, ""},
	} {
		a, err := chain.ParseAddress(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		k, isKey := a.Key()
		h, isScript := a.Script()
		st, hasStake := a.StakeKey()
		if a.String() != s || isKey != (want.key != "") || isKey && k.String() != want.key || isScript && h.String() != want.script || isKey == isScript || hasStake != (want.stake != "") || hasStake && st.String() != want.stake {
			t.Errorf("%s: key %s, script %s, stake %s", a, k, h, st)
		}
		if back, err := chain.AddressFromBytes(a.Bytes()); err != nil || back != a {
			t.Errorf("%s from bytes: %s, %v", s, back, err)
		}
	}
	for _, s := range []string{
		"", "addr1", "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl9", // a wrong checksum
		"stake1uyehkck0lajq8gr28t9uxnuvgcqrc6070x3k9r8048z8y5gh6ffgw",         // a reward address
		"addr1gx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer5pnz75xxcrzqf96k", // a pointer
	} {
		if a, err := chain.ParseAddress(s); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%q: %v, %v", s, a, err)
		}
	}
}

func TestText(t *testing.T) {
	ref := chain.OutRef{Tx: chain.TxID{1}, Index: 7}
	asset := chain.AssetID{Policy: chain.ScriptHash{2}, Name: "NTX"}
	b, err := json.Marshal(map[chain.OutRef]chain.AssetID{ref: asset})
	if err != nil {
		t.Fatal(err)
	}
	var back map[chain.OutRef]chain.AssetID
	if err := json.Unmarshal(b, &back); err != nil || back[ref] != asset {
		t.Errorf("%s comes back as %v: %v", b, back, err)
	}
	for _, bad := range []string{"", "00#1", strings.Repeat("0", 64), strings.Repeat("0", 64) + "#-1", strings.Repeat("0", 64) + "#x", strings.Repeat("g", 64) + "#1"} {
		if err := ref.UnmarshalText([]byte(bad)); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("reference %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "00.00", strings.Repeat("0", 56), strings.Repeat("0", 56) + ".0", strings.Repeat("0", 56) + "." + strings.Repeat("00", 33)} {
		if err := asset.UnmarshalText([]byte(bad)); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("asset %q: %v", bad, err)
		}
	}
}

// TestValue: what is added can be taken away again, and nothing else.
func TestValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawValue(t, 0, 1<<40), drawValue(t, 0, 1<<40)
		sum, err := a.Add(b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := sum.Sub(b)
		if err != nil || !back.Equal(a) || !sum.Covers(a) || !sum.Covers(b) {
			t.Fatalf("%v + %v - %v = %v: %v", a, b, b, back, err)
		}
		if _, err := a.Sub(sum.With(chain.AssetID{Name: "more"}, 1)); !errors.Is(err, chain.ErrInsufficient) {
			t.Fatalf("took more than there is: %v", err)
		}
	})
	full := chain.Coins(math.MaxUint64).With(chain.AssetID{}, math.MaxUint64)
	for _, more := range []chain.Value{chain.Coins(1), chain.Value{}.With(chain.AssetID{}, 1)} {
		if _, err := full.Add(more); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("overflow by %v: %v", more, err)
		}
	}
}
