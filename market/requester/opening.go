package requester

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// build makes terms and opening out of the quotes, and records them before anybody gets to see them: a provider
// witnesses one opening a quote.
func (j *job) build(ctx context.Context) error {
	params, err := j.r.Ledger.Params(ctx)
	if err != nil {
		return fmt.Errorf("protocol parameters: %w", err)
	}
	clock, err := j.r.Ledger.Clock(ctx)
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	lotLovelace, err := j.r.Contracts.LotLovelace(params)
	if err != nil {
		return err
	}
	if err := j.r.Purse.Release(ctx, j.purpose()); err != nil { // of a process that was killed here
		return fmt.Errorf("release coins: %w", err)
	}
	seed, err := j.seed(ctx)
	if err != nil {
		return err
	}
	quotes, err := j.quotes()
	if err != nil {
		return err
	}
	tip := j.r.Book.Tip()
	t, err := j.newTerms(clock.SlotToTime(tip), seed.Ref, quotes, lotLovelace)
	if err != nil {
		return err
	}
	for i, q := range quotes {
		if err := t.CheckQuoted(j.rec.Lots[i].Request, q); err != nil {
			return fmt.Errorf("terms for %s: %w", q.Provider, err)
		}
	}
	packed, err := escrow.PackTerms(t)
	if err != nil {
		return err
	}
	until, err := clock.TimeToSlot(t.LockUntil)
	if err != nil {
		return fmt.Errorf("%w: the opening's end: %w", ErrConfig, err)
	}
	refs, err := j.r.Blocks.References(ctx)
	if err != nil {
		return fmt.Errorf("published scripts: %w", err)
	}
	open := j.r.Contracts.Open
	if j.r.sliced(t, refs) {
		open = j.r.Contracts.Start
	}
	draft, err := open(packed, parts(quotes), seed, plutus.Frame{From: tip, Until: until, References: refs})
	if err != nil {
		return err
	}
	tx, err := j.r.Purse.Balance(ctx, draft, j.purpose())
	if errors.Is(err, chain.ErrInsufficient) {
		return fmt.Errorf("%w: the wallet at %s cannot pay the opening: %w", ErrNotEnough, j.r.Address, err)
	}
	if err != nil {
		return fmt.Errorf("build the opening: %w", j.r.Contracts.Explain(err))
	}
	return j.recordOpening(ctx, t, packed, tx)
}

func (j *job) recordOpening(ctx context.Context, t market.Terms, packed plutus.Terms, tx *chain.Tx) error {
	encoded, err := t.Encode()
	if err != nil {
		return err
	}
	id, err := packed.JobID()
	if err != nil {
		return err
	}
	j.terms, j.packed, j.tx = t, packed, tx
	j.rec.Job, j.rec.Terms = market.JobID(id), encoded
	j.rec.Tx, j.rec.Resolved = tx.Bytes(), market.ResolvedOf(tx.Resolved())
	return j.save(ctx)
}

// newTerms is what all parties are to agree on.
func (j *job) newTerms(now chain.Time, seed chain.OutRef, quotes []market.Quote, lot chain.Lovelace) (market.Terms, error) {
	spec, c := j.rec.Spec, j.r.Contracts
	lockUntil := now + min(chain.Time(j.r.cfg.LockTime.Milliseconds()), chain.Time(c.Params.MaxRangeMS))
	for _, q := range quotes {
		lockUntil = min(lockUntil, q.Expires)
	}
	if lockUntil <= now {
		return market.Terms{}, fmt.Errorf("%w: the quotes have expired", ErrRefused)
	}
	decline, commit := market.Deadlines(lockUntil, spec.Job.Timeouts, j.r.cfg.Margin)
	if horizon := uint64(commit - now); horizon > c.Params.MaxHorizonMS {
		return market.Terms{}, fmt.Errorf("%w: the job's timeouts end in %s, the contracts allow %s", ErrConfig,
			market.Millis(horizon), market.Millis(c.Params.MaxHorizonMS))
	}
	t := market.Terms{
		Version: market.TermsVersion, Magic: c.Network.Magic, Policy: c.Policy, Spend: c.Stub, Name: spec.Job.Name,
		Kind: spec.Job.Kind, Requester: j.r.id, RequesterAddress: j.r.Address, Seed: seed, Task: spec.Job.Task(spec.Image),
		Program: j.rec.Program, Timeouts: spec.Job.Timeouts, Review: spec.Job.Window,
		LockUntil: lockUntil, DeclineBy: decline, CommitBy: commit,
		BondBps: quotes[0].BondBps, PenaltyBps: quotes[0].PenaltyBps, LotLovelace: lot,
	}
	if _, err := rand.Read(t.Nonce[:]); err != nil {
		return t, err
	}
	t.VoucherEvery = spec.Job.Vouchers
	if t.Disputes = spec.Job.Disputes; t.Disputes != nil || t.VoucherEvery > 0 {
		k, err := j.r.voucherKey(t.Nonce)
		if err != nil {
			return t, err
		}
		t.VoucherKey = market.Key(plutus.KeyOf(k))
	}
	if spec.Job.Collective() {
		for s := range spec.Job.Shards.Count {
			t.Ring = append(t.Ring, s)
		}
	}
	for i, q := range quotes {
		l := market.LotTerms{
			Provider: q.Provider, Addrs: j.rec.Lots[i].Offer.Addrs, Payment: q.Payment, PriceUNTX: q.PriceUNTX, BondInput: q.BondInput,
		}
		for _, s := range j.rec.Lots[i].Shards {
			st := market.ShardTerms{Index: s}
			if len(j.rec.Inputs) > 0 {
				st.Input = j.rec.Inputs[s]
			}
			l.Shards = append(l.Shards, st)
		}
		t.Lots = append(t.Lots, l)
	}
	return t, t.Validate()
}

// quotes are the providers' quotes, in the order of the lots.
func (j *job) quotes() ([]market.Quote, error) {
	all := make([]market.Quote, len(j.rec.Lots))
	for i, l := range j.rec.Lots {
		var err error
		if all[i], err = market.ReadQuote(l.Quote); err != nil {
			return nil, fmt.Errorf("%w: quote of %s: %w", ErrStore, l.Offer.Peer, err)
		}
	}
	return all, nil
}

func parts(quotes []market.Quote) (all []plutus.Part) {
	for _, q := range quotes {
		all = append(all, plutus.Part{
			Provider: q.Payment, PriceUNTX: q.PriceUNTX, BondChange: q.Change,
			BondInput: chain.UTxO{Ref: q.BondInput, Output: chain.Output{Address: q.BondAddress, Value: q.BondValue.Value()}},
		})
	}
	return all
}

// seed is the coin that makes the job unique: the one with the most NTX, as it pays for the job too.
func (j *job) seed(ctx context.Context) (chain.UTxO, error) {
	coins, err := j.r.Purse.Coins(ctx)
	if err != nil {
		return chain.UTxO{}, fmt.Errorf("the wallet's coins: %w", err)
	}
	ntx := j.r.Contracts.Params.NTX
	coins = slices.DeleteFunc(slices.Clone(coins), func(u chain.UTxO) bool { return u.Script != nil || u.Datum != nil })
	if len(coins) == 0 {
		return chain.UTxO{}, fmt.Errorf("%w: the wallet has no free coin; send some to %s", ErrNotEnough, j.r.Address)
	}
	return slices.MaxFunc(coins, func(a, b chain.UTxO) int {
		return cmp.Or(cmp.Compare(a.Value.Of(ntx), b.Value.Of(ntx)), cmp.Compare(a.Value.Coin, b.Value.Coin), b.Ref.Compare(a.Ref))
	}), nil
}

// Bounds of what an opening may cost the requester beside the prices.
const (
	maxFee        chain.Lovelace = 5_000_000
	maxCollateral chain.Lovelace = 10_000_000
)

var errBody = errors.New("not the opening that was agreed")

// checkBody accepts the one body that was recorded, if it does what the quotes say and nothing else: the lots, alone or in
// slices, every provider's change, and the rest back to this wallet. It trusts nothing about who built it.
func (j *job) checkBody(b chain.TxBody) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", errBody, fmt.Sprintf(format, args...))
	}
	known, err := j.rec.utxos()
	if err != nil {
		return err
	}
	at := map[chain.OutRef]chain.UTxO{}
	for _, u := range known {
		at[u.Ref] = u
	}
	quotes, err := j.quotes()
	if err != nil {
		return err
	}
	own := j.rec.Spec.Job.Disputes
	if t := j.terms.Disputes; (t == nil) != (own == nil) || t != nil && !reflect.DeepEqual(*t, *own) {
		return bad("its disputes are not the job file's")
	}
	open := j.r.Contracts.Open
	if j.r.Contracts.Starts(b) {
		open = j.r.Contracts.Start
	}
	want, err := open(j.packed, parts(quotes), at[j.terms.Seed], plutus.Frame{From: b.From, Until: b.Until})
	if err != nil {
		return err
	}
	switch {
	case b.ID != j.tx.ID():
		return bad("transaction %s", b.ID)
	case b.HasCertificates || b.HasWithdrawals || b.HasVotes || b.HasProposals || b.HasTreasury || b.HasDonation:
		return bad("it does more than open")
	case b.Until == 0 || b.Fee > maxFee:
		return bad("valid until slot %d, fee of %d lovelace", b.Until, b.Fee)
	case len(b.Outputs) < len(want.Outputs):
		return bad("%d outputs", len(b.Outputs))
	}
	for i, o := range b.Outputs {
		if i < len(want.Outputs) && !bytes.Equal(o.Encode(), want.Outputs[i].Encode()) {
			return bad("output %d", i)
		}
		if i >= len(want.Outputs) && o.Address != j.r.Address {
			return bad("output %d pays %s", i, o.Address)
		}
	}
	minted := 0
	for _, m := range want.Mint {
		for name, q := range m.Assets {
			minted++
			if b.Mint[chain.AssetID{Policy: m.Policy, Name: name}] != q {
				return bad("it mints something else")
			}
		}
	}
	if minted != len(b.Mint) {
		return bad("it mints something else")
	}
	return j.checkSpent(b, want, at, bad)
}

// checkSpent: inputs are the seed, the bond inputs and this wallet's; collateral is this wallet's, and bounded.
func (j *job) checkSpent(b chain.TxBody, want chain.Draft, at map[chain.OutRef]chain.UTxO, bad func(string, ...any) error) error {
	spent := map[chain.OutRef]bool{}
	for _, in := range b.Inputs {
		spent[in] = true
		agreed := slices.ContainsFunc(want.Inputs, func(i chain.Input) bool { return i.Ref == in })
		if !agreed && at[in].Address != j.r.Address {
			return bad("input %s", in)
		}
	}
	for _, in := range want.Inputs {
		if !spent[in.Ref] {
			return bad("input %s is missing", in.Ref)
		}
	}
	for _, in := range b.Collateral {
		if at[in].Address != j.r.Address {
			return bad("collateral %s", in)
		}
	}
	if r := b.CollateralReturn; r != nil && r.Address != j.r.Address {
		return bad("collateral goes to %s", r.Address)
	}
	if b.TotalCollateral == nil || *b.TotalCollateral > maxCollateral {
		return bad("no bound of its collateral")
	}
	return nil
}
