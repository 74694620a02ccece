package main

import (
	"context"
	"crypto/ed25519"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/plutus"
)

// signing is a key that signs vouchers or verdicts.
func signing(name string) ed25519.PrivateKey { return chaintest.NewActor(name).Key }

// contested makes terms that have vouchers and disputes; verdicts may take some milliseconds.
func contested(verdictMS uint64) func(*plutus.Terms) {
	return func(t *plutus.Terms) {
		t.ReviewMS = 600_000
		t.VoucherKey = plutus.KeyOf(signing("voucher"))
		t.Disputes = plutus.Disputes{
			VerdictMS: verdictMS, BondUNTX: 3 * ada, CostUNTX: 2 * ada, SlashBps: 1000, ShareBps: 5000,
			Payee: chaintest.NewActor("payee").Hash, Threshold: 1, Attesters: plutus.NewKeys(plutus.KeyOf(signing("attester"))),
		}
	}
}

// contest takes lots through vouchers, disputes, what ends them, and an agreement.
func (w *world) contest(ctx context.Context) error {
	short, err := w.open(ctx, 200, 2, 5000, false, contested(1000))
	if err != nil {
		return err
	}
	var lapse chain.Slot
	for i := range short.lots {
		if lapse, err = w.dispute(ctx, &short, i, false); err != nil {
			return err
		}
	}
	var jobs []job
	for i := range 2 {
		j, err := w.open(ctx, 202+2*i, 8, 5000, i == 0, contested(3_600_000))
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	if err := w.vouchers(ctx, jobs); err != nil {
		return err
	}
	for i := range jobs {
		for k := 4; k < 8; k++ {
			if _, err := w.dispute(ctx, &jobs[i], k, k == 4); err != nil {
				return err
			}
			if err := w.decide(ctx, &jobs[i], k, i == 1); err != nil {
				return err
			}
		}
	}
	if err := w.waitFor(ctx, lapse); err != nil {
		return err
	}
	for _, l := range short.lots {
		now := w.slot()
		dr, err := w.contracts.Lapse(l, short.terms, plutus.Frame{From: now, Until: now + 300, References: w.published})
		if err != nil {
			return err
		}
		if _, err := w.present(ctx, draft{shape: "lapse", Draft: dr, payer: w.person("stranger")}); err != nil {
			return err
		}
	}
	return nil
}

// vouchers has providers of both jobs redeem what they have earned, one lot or two at once, and others agree to close.
func (w *world) vouchers(ctx context.Context, jobs []job) error {
	for k, l := range jobs[0].lots { // the first lots are of one provider
		same := slices.IndexFunc(jobs[1].lots, func(o plutus.Lot) bool { return o.Provider == l.Provider })
		if same >= 0 {
			jobs[0].lots[0], jobs[0].lots[k] = jobs[0].lots[k], jobs[0].lots[0]
			jobs[1].lots[0], jobs[1].lots[same] = jobs[1].lots[same], jobs[1].lots[0]
			break
		}
	}
	var earned []plutus.Earned
	for i, j := range jobs {
		for k, l := range j.lots {
			owner, _ := l.Provider.Key()
			v := w.contracts.SignVoucher(signing("voucher"), l.Job, owner, l.PriceUNTX/2)
			switch k {
			case 0:
				earned = append(earned, plutus.Earned{Lot: l, Terms: j.terms, Voucher: v})
			case 1:
				if err := w.redeem(ctx, []plutus.Earned{{Lot: l, Terms: j.terms, Voucher: v}}, i == 0); err != nil {
					return err
				}
			case 3:
				f := w.frame(300)
				f.References = w.references(i == 1)
				dr, err := w.contracts.Close(l, j.terms, l.PriceUNTX, f)
				if err != nil {
					return err
				}
				if _, err := w.present(ctx, draft{shape: "close", Draft: dr, payer: j.requester}); err != nil {
					return err
				}
			}
		}
	}
	return w.redeem(ctx, earned, false)
}

func (w *world) redeem(ctx context.Context, earned []plutus.Earned, attached bool) error {
	f := w.frame(300)
	f.References = w.references(attached)
	dr, err := w.contracts.Redeem(earned, f)
	if err != nil {
		return err
	}
	shape := "redeem, one lot"
	if len(earned) > 1 {
		shape = "redeem, a batch"
	}
	_, err = w.present(ctx, draft{shape: shape, Draft: dr, payer: w.owner(earned[0].Lot)})
	return err
}

// dispute has the provider of lot i commit and the requester dispute it; the slot after its deadline comes back.
func (w *world) dispute(ctx context.Context, j *job, i int, attached bool) (chain.Slot, error) {
	if _, err := w.commit(ctx, j, i, attached); err != nil {
		return 0, err
	}
	f := w.frame(60)
	f.References = w.references(attached)
	deadline := plutus.Deadline(j.terms, f.Until, w.clock)
	dr, err := w.contracts.Dispute(j.lots[i], j.terms, deadline, f)
	if err != nil {
		return 0, err
	}
	if err := w.follow(ctx, j, i, draft{shape: "dispute", Draft: dr, payer: j.requester}); err != nil {
		return 0, err
	}
	return w.clock.CeilSlot(deadline)
}

// decide ends a dispute in one of three ways.
func (w *world) decide(ctx context.Context, j *job, i int, attached bool) error {
	l, f := j.lots[i], w.frame(300)
	f.References = w.references(attached)
	d := draft{shape: "concede", payer: j.requester}
	var err error
	switch i % 3 {
	case 0:
		d.Draft, err = w.contracts.Concede(l, j.terms, f)
	default:
		v := plutus.Verdict{AwardUNTX: l.PriceUNTX}
		if i%3 == 2 {
			v = plutus.Verdict{SlashUNTX: l.BondUNTX / 100}
		}
		v.Signatures = []plutus.Attestation{w.contracts.Attest(signing("attester"), l, v.AwardUNTX, v.SlashUNTX, 0)}
		d.shape, d.payer = "verdict", w.person("stranger")
		d.Draft, err = w.contracts.Verdict(l, j.terms, v, f)
	}
	if err != nil {
		return err
	}
	_, err = w.present(ctx, d)
	return err
}
