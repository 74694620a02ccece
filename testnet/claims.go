package testnet

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// ErrClaim is something a summary claims that the chain does not bear out.
var ErrClaim = errors.New("the chain says otherwise")

// CheckClaims derives every payment, penalty, bond, fee, cost and balance of a summary again from blocks alone and
// compares. The error names each claim that differs, what was claimed and what is so. It returns how many agree.
func CheckClaims(s Summary, blocks []chain.Block, c *plutus.Contracts) (int, error) {
	d, err := ReplayJobs(blocks, c, s.FundedAt, s.EndedAt)
	if err != nil {
		return 0, err
	}
	k := &checker{}
	seen := map[string]bool{}
	for _, j := range s.Jobs {
		if seen[j.ID] {
			k.fail("job %s is claimed twice", j.ID)
		}
		seen[j.ID] = true
		var id plutus.JobID
		if err := id.UnmarshalText([]byte(j.ID)); err != nil || d.Jobs[id] == nil {
			k.fail("job %s, %s: claimed, and the chain has none of that id", j.Name, j.ID)
			continue
		}
		k.job(j, d, d.Jobs[id])
	}
	for id := range d.Jobs {
		if !seen[id.String()] {
			k.fail("job %s is on chain and not claimed", id)
		}
	}
	k.balances(s, d)
	k.figures(s, d)
	return k.agreed, errors.Join(k.wrong...)
}

// checker compares claims.
type checker struct {
	agreed int
	wrong  []error
}

func (k *checker) fail(format string, args ...any) {
	k.wrong = append(k.wrong, fmt.Errorf(format+": %w", append(args, ErrClaim)...))
}

func same[T comparable](k *checker, what string, claimed, derived T) {
	if claimed != derived {
		k.fail("%s: claimed %v, derived %v", what, claimed, derived)
		return
	}
	k.agreed++
}

func (k *checker) job(j JobSummary, all *Derived, d *DerivedJob) {
	from, to := d.Span()
	at := "job " + j.Name
	same(k, at+", outcome", j.Outcome, d.Outcome())
	same(k, at+", price_untx", j.PriceUNTX, d.Price())
	same(k, at+", fees_lovelace", j.FeesLovelace, d.Fees)
	same(k, at+", requester_cost_lovelace", j.RequesterCostLovelace, d.Costs[d.Terms.Requester])
	claimed := map[chain.Address]bool{}
	var paid, refunded uint64
	for _, s := range j.Shards {
		at := fmt.Sprintf("%s, shard %d", at, s.Index)
		l := d.Lots[s.Provider]
		if l == nil || claimed[s.Provider] {
			k.fail("%s: a lot of %s is claimed, the chain has none", at, s.Provider)
			continue
		}
		claimed[s.Provider] = true
		paid, refunded = paid+s.PaidUNTX, refunded+s.RefundedUNTX
		same(k, at+", outcome", s.Outcome, l.Outcome())
		same(k, at+", paid_untx", s.PaidUNTX, l.Paid())
		same(k, at+", refunded_untx", s.RefundedUNTX, l.Refunded())
		same(k, at+", penalty_untx", s.PenaltyUNTX, l.Penalty())
		same(k, at+", bond_returned_untx", s.BondReturnedUNTX, l.BondReturned())
		same(k, at+", locked_lovelace", s.LockedLovelace, l.Lot.Lovelace)
		same(k, at+", provider_cost_lovelace", s.ProviderCostLovelace, d.Costs[s.Provider])
		same(k, at+", before_untx", s.BeforeUNTX, all.Balances[from-1][s.Provider].UNTX)
		same(k, at+", after_untx", s.AfterUNTX, all.Balances[to][s.Provider].UNTX)
		same(k, at+", transaction open", s.Txs.Open, l.Open)
		same(k, at+", transaction settle", s.Txs.Settle, l.Settle)
		same(k, at+", transaction commit", text(s.Txs.Commit), text(l.Commit))
	}
	same(k, at+", lots", len(claimed), len(d.Lots))
	same(k, at+", price paid or refunded", paid+refunded, d.Price())
	var costs int64
	for c := range maps.Values(d.Costs) {
		costs += c
	}
	same(k, at+", what all parties are short of", costs, int64(d.Fees))
}

func text(id *chain.TxID) string {
	if id == nil {
		return "none"
	}
	return id.String()
}

func (k *checker) balances(s Summary, d *Derived) {
	for _, a := range slices.Sorted(maps.Keys(s.Balances)) {
		b := s.Balances[a]
		addr, err := chain.ParseAddress(a)
		if err != nil {
			k.fail("balance of %q: no address", a)
			continue
		}
		at := "balance of " + b.Role
		before, after := d.Balances[s.FundedAt][addr], d.Balances[s.EndedAt][addr]
		same(k, at+", before_untx", b.BeforeUNTX, before.UNTX)
		same(k, at+", after_untx", b.AfterUNTX, after.UNTX)
		same(k, at+", before_lovelace", b.BeforeLovelace, before.Lovelace)
		same(k, at+", after_lovelace", b.AfterLovelace, after.Lovelace)
		key, _ := addr.Key()
		same(k, at+", stake_untx", b.StakeUNTX, d.Stakes[s.EndedAt][key])
	}
	parties := map[chain.Address]bool{}
	for j := range maps.Values(d.Jobs) {
		parties[j.Terms.Requester] = true
		for a := range j.Lots {
			parties[a] = true
		}
	}
	for a := range parties {
		if _, ok := s.Balances[a.String()]; !ok {
			k.fail("%s was paid or paid, and its balance is not claimed", a)
		}
	}
}

// figures compares the sums of job 1 that the summary shows apart.
func (k *checker) figures(s Summary, d *Derived) {
	for _, j := range s.Jobs {
		var id plutus.JobID
		if j.Kind != "training" || id.UnmarshalText([]byte(j.ID)) != nil || d.Jobs[id] == nil {
			continue
		}
		f := shareOf(d.Jobs[id])
		same(k, "figures, requester_fees_per_shard", s.Figures.RequesterFeesPerShard, f.RequesterFeesPerShard)
		same(k, "figures, provider_fees_per_shard", s.Figures.ProviderFeesPerShard, f.ProviderFeesPerShard)
		same(k, "figures, provider_locked_per_shard", s.Figures.ProviderLockedPerShard, f.ProviderLockedPerShard)
		same(k, "figures, requester_locked_per_shard", s.Figures.RequesterLockedPerShard, f.RequesterLockedPerShard)
		return
	}
}

// shareOf is what one shard of a job cost each side in ADA, and what was locked for it, rounded down.
func shareOf(j *DerivedJob) Figures {
	var providers, locked int64
	for a, l := range j.Lots {
		providers += j.Costs[a]
		locked += int64(l.Lot.Lovelace)
	}
	n := int64(len(j.Lots))
	return Figures{
		RequesterFeesPerShard:  chain.Lovelace(max(0, j.Costs[j.Terms.Requester]) / n),
		ProviderFeesPerShard:   chain.Lovelace(max(0, providers) / n),
		ProviderLockedPerShard: chain.Lovelace(locked / n),
		// The contracts take a lot's lovelace from its provider alone.
		RequesterLockedPerShard: 0,
	}
}
