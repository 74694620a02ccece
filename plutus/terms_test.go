package plutus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

// packedVector is the terms of the contracts' own tests (contracts/lib/scenario.ak).
const packedVector = "01111111111111111111111111111111111111111111111111111111111111111100000044444444444444444444444444444444444444444444444444444444" +
	"0000000000000000000000000000000000000000000000000000000000000000001e848000000000004c4b4000000000000927c007d003e800000000001e8480" +
	"9999999999999999999999999999999999999999999999999999999999999999"

func TestPackedVector(t *testing.T) {
	n := chain.Network{}
	want := Terms{
		Seed:      chain.OutRef{Tx: chain.TxID(bytes.Repeat([]byte{0x11}, 32))},
		Requester: chain.Enterprise(n, chain.KeyHash(bytes.Repeat([]byte{0x44}, 28))),
		DeclineBy: 2_000_000, CommitBy: 5_000_000, ReviewMS: 600_000, BondBps: 2000, PenaltyBps: 1000, LotLovelace: 2_000_000,
		Rest: [32]byte(bytes.Repeat([]byte{0x99}, 32)),
	}
	b, err := want.Pack()
	if err != nil || hex.EncodeToString(b) != packedVector {
		t.Fatalf("%x, %v", b, err)
	}
	got, err := UnpackTerms(b, n)
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if id, err := got.JobID(); err != nil || id != jobID(b) {
		t.Fatal(id, err)
	}
}

func TestTermsThatCannotBe(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for name, f := range map[string]func(*Terms){
		"no requester":              func(t *Terms) { t.Requester = chain.Address{} },
		"a script as requester":     func(t *Terms) { t.Requester = w.Address },
		"seed index too large":      func(t *Terms) { t.Seed.Index = 1 << 16 },
		"no decline_by":             func(t *Terms) { t.DeclineBy = 0 },
		"decline_by after commit":   func(t *Terms) { t.DeclineBy = t.CommitBy + 1 },
		"commit_by beyond all time": func(t *Terms) { t.CommitBy = maxTime + 1 },
		"review beyond all time":    func(t *Terms) { t.ReviewMS = maxTime + 1 },
		"penalty above bond":        func(t *Terms) { t.PenaltyBps = t.BondBps + 1 },
		"bond above price":          func(t *Terms) { t.BondBps = wholeBps + 1 },
		"no lovelace":               func(t *Terms) { t.LotLovelace = 0 },
		"too much lovelace":         func(t *Terms) { t.LotLovelace = maxQuantity + 1 },
	} {
		terms := w.terms
		f(&terms)
		if _, err := terms.Pack(); !errors.Is(err, ErrTerms) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no requester" || name == "a script as requester" || name == "seed index too large" {
			continue // cannot be written at all
		}
		if _, err := UnpackTerms(terms.pack(), w.Network); !errors.Is(err, ErrTerms) {
			t.Errorf("%s, packed: %v", name, err)
		}
	}
}

// TestDisputesThatCannotBe: what the policy would refuse is refused before it is packed, and when it is unpacked.
func TestDisputesThatCannotBe(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	keys := w.contested.Disputes.Attesters.List()
	for name, f := range map[string]func(*Terms){
		"no voucher key":           func(t *Terms) { t.VoucherKey = PublicKey{} },
		"a voucher key of order 8": func(t *Terms) { t.VoucherKey = orderEight() },
		"no attesters":             func(t *Terms) { t.Disputes.Attesters = "" },
		"an attester and a half":   func(t *Terms) { t.Disputes.Attesters = t.Disputes.Attesters[:48] },
		"too many attesters":       func(t *Terms) { t.Disputes.Attesters, t.Disputes.Threshold = many(MaxAttesters+1), 9 },
		"an attester twice":        func(t *Terms) { t.Disputes.Attesters = NewKeys(keys[0], keys[0], keys[1]) },
		"attesters out of order":   func(t *Terms) { t.Disputes.Attesters = t.Disputes.Attesters[32:] + t.Disputes.Attesters[:32] },
		"an attester of order 8":   func(t *Terms) { t.Disputes.Attesters = NewKeys(keys[0], keys[1], orderEight()) },
		"no threshold":             func(t *Terms) { t.Disputes.Threshold = 0 },
		"a third of the attesters": func(t *Terms) { t.Disputes.Threshold = 1 },
		"more than the attesters":  func(t *Terms) { t.Disputes.Threshold = 4 },
		"no time for a verdict":    func(t *Terms) { t.Disputes.VerdictMS = 0 },
		"a verdict beyond time":    func(t *Terms) { t.Disputes.VerdictMS = maxTime + 1 },
		"no cost":                  func(t *Terms) { t.Disputes.CostUNTX = 0 },
		"a cost above the bond":    func(t *Terms) { t.Disputes.CostUNTX = t.Disputes.BondUNTX + 1 },
		"too large a bond":         func(t *Terms) { t.Disputes.BondUNTX = maxQuantity },
		"a slash above the price":  func(t *Terms) { t.Disputes.SlashBps = wholeBps + 1 },
		"a share above the price":  func(t *Terms) { t.Disputes.ShareBps = wholeBps + 1 },
	} {
		terms := w.contested
		f(&terms)
		if _, err := terms.Pack(); !errors.Is(err, ErrTerms) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := UnpackTerms(terms.pack(), w.Network); !errors.Is(err, ErrTerms) {
			t.Errorf("%s, packed: %v", name, err)
		}
	}
}

// many are n attesters' keys.
func many(n int) Keys {
	var keys []PublicKey
	for i := range n {
		keys = append(keys, KeyOf(signer(fmt.Sprint("one of many ", i))))
	}
	return NewKeys(keys...)
}

func TestTermsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := chain.Network{ID: uint8(rapid.IntRange(0, 1).Draw(t, "network"))}
		k := func(label string) (h chain.KeyHash) {
			copy(h[:], rapid.SliceOfN(rapid.Byte(), 28, 28).Draw(t, label))
			return h
		}
		x := Terms{
			Seed:        chain.OutRef{Tx: chain.TxID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")), Index: uint32(rapid.Uint16().Draw(t, "index"))},
			Requester:   chain.Enterprise(n, k("key")),
			DeclineBy:   chain.Time(rapid.Int64Range(1, maxTime).Draw(t, "decline")),
			ReviewMS:    rapid.Uint64Range(0, maxTime).Draw(t, "review"),
			BondBps:     rapid.Uint16Range(0, wholeBps).Draw(t, "bond"),
			LotLovelace: chain.Lovelace(rapid.Uint64Range(1, maxQuantity).Draw(t, "ada")),
			Rest:        [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "rest")),
		}
		x.CommitBy = chain.Time(rapid.Int64Range(int64(x.DeclineBy), maxTime).Draw(t, "commit"))
		x.PenaltyBps = rapid.Uint16Range(0, x.BondBps).Draw(t, "penalty")
		if rapid.Bool().Draw(t, "base") {
			x.Requester = chain.Base(n, k("key2"), k("stake"))
		}
		size := plainSize
		if rapid.Bool().Draw(t, "vouchers") {
			x.VoucherKey, size = KeyOf(signer("voucher")), voucherSize
			if n := rapid.IntRange(0, MaxAttesters).Draw(t, "attesters"); n > 0 {
				size = disputeSize + 32*n
				x.Disputes = Disputes{
					VerdictMS: rapid.Uint64Range(1, maxTime).Draw(t, "verdict"), CostUNTX: rapid.Uint64Range(1, maxQuantity/2).Draw(t, "cost"),
					SlashBps: rapid.Uint16Range(0, wholeBps).Draw(t, "slash"), ShareBps: rapid.Uint16Range(0, wholeBps).Draw(t, "share"),
					Payee: k("payee"), Threshold: uint8(rapid.IntRange(n/2+1, n).Draw(t, "threshold")), Attesters: many(n),
				}
				x.Disputes.BondUNTX = rapid.Uint64Range(x.Disputes.CostUNTX, maxQuantity/2).Draw(t, "dispute bond")
			}
		}
		b, err := x.Pack()
		if err != nil || len(b) != size {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if y, err := UnpackTerms(b, n); err != nil || y != x {
			t.Fatalf("%+v, then %+v, %v", x, y, err)
		}
		var y Terms
		if j, err := json.Marshal(x); err != nil || json.Unmarshal(j, &y) != nil || y != x {
			t.Fatalf("%+v, then %+v, %v", x, y, err)
		}
	})
}

func TestAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Uint64Range(1, maxQuantity/2).Draw(t, "price")
		bps := rapid.Uint16Range(0, wholeBps).Draw(t, "bond")
		penalty := rapid.Uint16Range(0, bps).Draw(t, "penalty")
		b := BondOf(p, bps)
		switch {
		case b > p:
			t.Fatalf("bond %d", b)
		case PriceOf(p+b, bps) != p:
			t.Fatalf("price %d read back as %d", p, PriceOf(p+b, bps))
		case PenaltyOf(p, penalty) > b:
			t.Fatalf("penalty %d, bond %d", PenaltyOf(p, penalty), b)
		}
		sum := rapid.Uint64().Draw(t, "sum")
		if q := PriceOf(sum, bps); q > sum || sum-q > BondOf(q, bps) {
			t.Fatalf("sum %d, price %d", sum, q)
		}
	})
}

func TestJobIDText(t *testing.T) {
	var a, b JobID
	a[0], a[27] = 1, 0xff
	s, err := a.MarshalText()
	if err != nil || b.UnmarshalText(s) != nil || a != b {
		t.Fatal(a, b, err)
	}
	for _, bad := range []string{"", "00", string(s[1:]) + "g"} {
		if err := b.UnmarshalText([]byte(bad)); !errors.Is(err, ErrTerms) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
