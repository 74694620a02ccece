package plutus

import (
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"testing"

	"filippo.io/edwards25519"
)

// orderEight is a key of small order in its only encoding, which Go takes and the ledger does not.
func orderEight() PublicKey {
	for seed := byte(0); ; seed++ {
		p, err := new(edwards25519.Point).SetBytes(append([]byte{seed}, make([]byte, 31)...))
		if err != nil {
			continue
		}
		// The order of the prime subgroup, little-endian, less one: l*P = (l-1)*P + P.
		l := append([]byte{
			0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		}, make([]byte, 15)...)
		less, err := edwards25519.NewScalar().SetCanonicalBytes(append(l, 0x10))
		if err != nil {
			panic(err)
		}
		q := new(edwards25519.Point).ScalarMult(less, p)
		q.Add(q, p)
		if q.Equal(edwards25519.NewIdentityPoint()) == 0 {
			return PublicKey(q.Bytes())
		}
	}
}

// ofNothing is a signature of k's whose R is the identity: correct by RFC 8032, refused by the ledger.
func ofNothing(k ed25519.PrivateKey, message []byte) (s Signature) {
	seed := sha512.Sum512(k.Seed())
	a, err := edwards25519.NewScalar().SetBytesWithClamping(seed[:32])
	if err != nil {
		panic(err)
	}
	r := edwards25519.NewIdentityPoint().Bytes()
	h := sha512.New()
	h.Write(r)
	h.Write(k[32:])
	h.Write(message)
	e, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		panic(err)
	}
	copy(s[:], r)
	copy(s[32:], edwards25519.NewScalar().Multiply(e, a).Bytes())
	return s
}

// TestVoucherWorthNothing: a provider takes no voucher that the contracts would not pay.
func TestVoucherWorthNothing(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	l := w.lotOf(t, 1, 0, Open, w.contested)
	good := w.voucher(l.Job, 5)
	if err := good.Verify(w.Contracts, l, w.contested); err != nil {
		t.Fatal(err)
	}
	if all := w.voucher(l.Job, price); all.Verify(w.Contracts, l, w.contested) != nil {
		t.Error("a voucher of the whole price is refused")
	}
	other := *w.Contracts
	other.Network.Magic++
	for name, v := range map[string]Voucher{
		"more than signed":      {l.Job, good.Provider, 6, good.Signature},
		"more than the price":   w.voucher(l.Job, price+1),
		"another job":           w.voucher(w.job, 5),
		"another provider":      w.SignVoucher(signer("voucher"), l.Job, w.providers[1].Hash, 5),
		"another key":           w.SignVoucher(signer("another"), l.Job, good.Provider, 5),
		"another network":       other.SignVoucher(signer("voucher"), l.Job, good.Provider, 5),
		"signature of nothing":  {l.Job, good.Provider, 5, ofNothing(signer("voucher"), good.message(w.Contracts))},
		"signature left out":    {l.Job, good.Provider, 5, Signature{}},
		"signature not reduced": {l.Job, good.Provider, 5, unreduced(good.Signature)},
	} {
		if err := v.Verify(w.Contracts, l, w.contested); !errors.Is(err, ErrVoucher) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Verify(w.Contracts, w.lot(t, 1, 0, Open), w.terms); !errors.Is(err, ErrVoucher) {
		t.Errorf("a job without vouchers: %v", err)
	}
	if m := good.message(w.Contracts); !ed25519.Verify(w.contested.VoucherKey[:], m, sliceOf(ofNothing(signer("voucher"), m))) {
		t.Error("the signature of nothing is none by RFC 8032 either: it tests nothing")
	}
}

func sliceOf(s Signature) []byte { return s[:] }

// unreduced adds the group's order to S, which leaves the equation as it was.
func unreduced(s Signature) Signature {
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14}
	carry := 0
	for i := range 32 {
		n := int(s[32+i]) + carry
		if i < len(order) {
			n += int(order[i])
		}
		if i == 31 {
			n += 0x10
		}
		s[32+i], carry = byte(n), n>>8
	}
	return s
}

// TestVerdictWorthNothing: nobody relies on a verdict that the contracts would not carry out.
func TestVerdictWorthNothing(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	l := w.disputedLot(t)
	good := w.decided(l, award, slash, "attester0", "attester1")
	for name, v := range map[string]Verdict{
		"good":             good,
		"by all":           w.decided(l, award, slash, attesterNames...),
		"beside a forgery": {award, slash, 0, append([]Attestation{{Attester: KeyOf(signer("attester2"))}}, good.Signatures...)},
	} {
		if err := v.Verify(w.Contracts, l, w.contested); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sibling := l
	sibling.Ref.Index++
	for name, v := range map[string]Verdict{
		"by one":            w.decided(l, award, slash, "attester1"),
		"by one, twice":     w.decided(l, award, slash, "attester1", "attester1"),
		"by a stranger":     w.decided(l, award, slash, "attester1", "stranger"),
		"on a sibling":      w.decided(sibling, award, slash, "attester0", "attester1"),
		"of another award":  {award + 1, slash, 0, good.Signatures},
		"of another slash":  {award, slash + 1, 0, good.Signatures},
		"taking of a stake": {award, slash, 1, good.Signatures},
		"by nobody":         {},
		"with no signature": {award, slash, 0, []Attestation{{Attester: KeyOf(signer("attester0"))}, {Attester: KeyOf(signer("attester1"))}}},
	} {
		if err := v.Verify(w.Contracts, l, w.contested); !errors.Is(err, ErrVerdict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := good.Verify(w.Contracts, l, w.terms); !errors.Is(err, ErrVerdict) {
		t.Errorf("a job without attesters: %v", err)
	}
}
