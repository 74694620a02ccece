package plutus

import (
	"crypto/ed25519"
	"testing"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// What the contested job's terms say of disputes. A bond is of 5,000,000.
const (
	disputeBond = 3_000_000
	disputeCost = 1_000_000
	award       = price / 5
	slash       = 2_000_000
	atRisk      = 45_000_000 // of a provider's stake
)

// signer is a key for vouchers or verdicts.
func signer(name string) ed25519.PrivateKey {
	seed := blake2b.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

var attesterNames = []string{"attester0", "attester1", "attester2"}

// contest adds vouchers and disputes to terms.
func contest(t Terms, verdictMS uint64) Terms {
	var keys []PublicKey
	for _, n := range attesterNames {
		keys = append(keys, KeyOf(signer(n)))
	}
	t.VoucherKey = KeyOf(signer("voucher"))
	t.Disputes = Disputes{
		VerdictMS: verdictMS, BondUNTX: disputeBond, AtRiskUNTX: atRisk, CostUNTX: disputeCost, SlashBps: 1000, ShareBps: 5000,
		Payee: chaintest.NewActor("payee").Hash, Threshold: 2, Attesters: NewKeys(keys...),
	}
	return t
}

// otherContested is the terms of another contested job.
func (w *world) otherContested(n byte) Terms {
	return contest(w.otherJob(n), w.verdictMS)
}

func (w *world) contestedJob() JobID { return jobID(w.contested.pack()) }

// age adds to a lot what it gets on its way to its state.
func (w *world) age(l Lot, t Terms) Lot {
	switch l.State {
	case Committed:
		l.Root, l.ClaimAt = [32]byte{9}, w.at(w.commitEnd)+chain.Time(t.ReviewMS)
	case Disputed:
		l.Root, l.Deadline = [32]byte{9}, w.at(w.disputeEnd)+chain.Time(t.Disputes.VerdictMS)
		l.DisputeBondUNTX, l.Own, l.Lovelace = t.Disputes.BondUNTX, l.Lovelace, l.Lovelace+t.LotLovelace
	}
	return l
}

// action is a redeemer of each transition that can be read back.
func (w *world) action(k Kind) Action {
	a := Action{Kind: k}
	switch k {
	case KindClaim:
		return a
	case KindRedeem:
		a.Earned = []Earning{{w.contested, 5, Signature{1}}, {w.otherContested(1), 6, Signature{2}}}
		return a
	case KindCommit:
		a.Root = [32]byte{1}
	case KindClose:
		a.AwardUNTX = 7
	case KindVerdict:
		a.AwardUNTX, a.SlashUNTX, a.TakenUNTX, a.Signatures = 7, 8, 9, []Signature{{}, {1}, {2}}
	}
	a.Terms = w.contested
	return a
}

func (w *world) disputedLot(tb testing.TB) Lot {
	tb.Helper()
	return w.lotOf(tb, 1, 0, Disputed, w.contested)
}

func (w *world) openContested(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Open(w.contested, w.parts(), w.seed(), w.frame(w.moments.open)))(tb)
}

func (w *world) close(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Close(w.disputedLot(tb), w.contested, price/2, w.frame(w.moments.verdict)))(tb)
}

func (w *world) redeem(tb testing.TB) chain.Draft {
	tb.Helper()
	var all []Earned
	for i, cumulative := range []uint64{price / 2, price, 0} {
		t, s := w.contested, Open
		if i > 0 {
			t, s = w.otherContested(byte(i)), Committed
		}
		l := w.lotOf(tb, byte(i+1), 0, s, t)
		all = append(all, Earned{l, t, w.voucher(l.Job, cumulative)})
	}
	return must(w.Redeem(all, w.frame(w.work)))(tb)
}

// voucher is one of the first provider's.
func (w *world) voucher(j JobID, cumulative uint64) Voucher {
	return w.SignVoucher(signer("voucher"), j, w.providers[0].Hash, cumulative)
}

func (w *world) dispute(tb testing.TB) chain.Draft {
	tb.Helper()
	f := w.frame(w.moments.dispute)
	return must(w.Dispute(w.lotOf(tb, 1, 0, Committed, w.contested), w.contested, Deadline(w.contested, f.Until, w.clock), f))(tb)
}

// decided is a verdict with the signatures of some attesters.
func (w *world) decided(l Lot, award, slash uint64, attesters ...string) Verdict {
	v := Verdict{AwardUNTX: award, SlashUNTX: slash}
	for _, n := range attesters {
		v.Signatures = append(v.Signatures, w.Attest(signer(n), l, award, slash, 0))
	}
	return v
}

func (w *world) verdict(tb testing.TB) chain.Draft {
	tb.Helper()
	l := w.disputedLot(tb)
	return must(w.Verdict(l, w.contested, w.decided(l, award, slash, "attester0", "attester2"), w.frame(w.moments.verdict)))(tb)
}

func (w *world) concede(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Concede(w.disputedLot(tb), w.contested, w.frame(w.moments.verdict)))(tb)
}

func (w *world) lapse(tb testing.TB) chain.Draft {
	tb.Helper()
	return must(w.Lapse(w.disputedLot(tb), w.contested, w.frame(w.moments.lapse)))(tb)
}
