package main

import (
	"context"
	"math/big"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// stake is what a provider puts at stake at a time.
const stake = 40 * ada

// deposit has a provider put NTX at stake.
func (w *world) deposit(ctx context.Context, i int) (plutus.Stake, error) {
	d := draft{shape: "stake", payer: w.provider(i)}
	var err error
	if d.Draft, err = w.contracts.Deposit(d.payer.Hash, stake, w.params, w.frame(600)); err != nil {
		return plutus.Stake{}, err
	}
	return w.staked(ctx, d)
}

// staked presents what makes a stake.
func (w *world) staked(ctx context.Context, d draft) (plutus.Stake, error) {
	b, err := w.present(ctx, d)
	if err != nil {
		return plutus.Stake{}, err
	}
	return w.contracts.ReadStake(b.Outputs[0])
}

// unbond has a provider begin to take a stake back.
func (w *world) unbond(ctx context.Context, i int, s plutus.Stake, attached bool) error {
	f := w.frame(300)
	f.References = w.references(attached)
	d := draft{shape: "unbond", payer: w.provider(i)}
	var err error
	if d.Draft, err = w.contracts.Unbond(s, w.clock.SlotToTime(f.Until), w.params, f); err != nil {
		return err
	}
	_, err = w.staked(ctx, d)
	return err
}

// ancient makes a stake that says it has been unbonding since the first of all moments, as anybody can.
func (w *world) ancient(ctx context.Context, i int) (plutus.Stake, error) {
	d := draft{shape: "stake, of an old moment", payer: w.provider(i)}
	var err error
	if d.Draft, err = w.contracts.Deposit(d.payer.Hash, stake, w.params, w.frame(600)); err != nil {
		return plutus.Stake{}, err
	}
	since := data.NewConstr(0, data.NewInteger(big.NewInt(1)))
	if d.Outputs[0].Datum, err = chain.EncodeData(data.NewConstr(0, data.NewByteString(d.payer.Hash[:]), since, data.NewByteString(w.contracts.Policy[:]))); err != nil {
		return plutus.Stake{}, err
	}
	return w.staked(ctx, d)
}

// withdraw has a provider take back stakes whose delay is over.
func (w *world) withdraw(ctx context.Context, i, n int, attached bool) error {
	var all []plutus.Stake
	for range n {
		s, err := w.ancient(ctx, i)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	now := w.slot()
	d := draft{shape: "withdraw", payer: w.provider(i)}
	var err error
	if d.Draft, err = w.contracts.Withdraw(all, plutus.Frame{From: now, Until: now + 300, References: w.references(attached)}); err != nil {
		return err
	}
	_, err = w.present(ctx, d)
	return err
}

// slash has attesters take of the stakes of a lot's provider, all of them or a part.
func (w *world) slash(ctx context.Context, j *job, i int, untx uint64, stakes []plutus.Stake, attached bool) error {
	if _, err := w.dispute(ctx, j, i, attached); err != nil {
		return err
	}
	l, f := j.lots[i], w.frame(300)
	f.References = w.references(attached)
	v := plutus.Verdict{SlashUNTX: l.BondUNTX / 100, TakenUNTX: untx}
	v.Signatures = []plutus.Attestation{w.contracts.Attest(signing("attester"), l, v.AwardUNTX, v.SlashUNTX, v.TakenUNTX)}
	d := draft{shape: "verdict, of stakes", payer: w.person("stranger")}
	var err error
	if d.Draft, err = w.contracts.Verdict(l, j.terms, v, f, stakes...); err != nil {
		return err
	}
	_, err = w.present(ctx, d)
	return err
}

// stakes takes stakes through every transition.
func (w *world) stakes(ctx context.Context) error {
	j, err := w.open(ctx, 250, 4, 5000, false, contested(3_600_000), func(t *plutus.Terms) { t.Disputes.AtRiskUNTX = 3 * stake })
	if err != nil {
		return err
	}
	for i, l := range j.lots {
		var of []plutus.Stake
		for k := range providers {
			if w.provider(k).Hash != w.owner(l).Hash {
				continue
			}
			for range 2 {
				s, err := w.deposit(ctx, k)
				if err != nil {
					return err
				}
				of = append(of, s)
			}
			extra, err := w.deposit(ctx, k)
			if err != nil {
				return err
			}
			if err := w.unbond(ctx, k, extra, i%2 == 0); err != nil {
				return err
			}
			if err := w.withdraw(ctx, k, 1+i%3, i%2 == 1); err != nil {
				return err
			}
		}
		untx := uint64(2 * stake)
		if i%2 == 0 {
			untx -= stake / 2
		}
		if err := w.slash(ctx, &j, i, untx, of, i == 3); err != nil {
			return err
		}
	}
	return nil
}
