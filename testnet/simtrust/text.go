package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/trust"
	"github.com/tallycompute/tally/plutus"
)

// Where results are written, from the root of the tree.
const (
	page    = "docs/explanation/proof-of-completion.md"
	picture = "docs/explanation/trust.svg"
	opening = "<!-- from here: make sim-trust -->\n"
	closing = "<!-- to here: make sim-trust -->\n"
)

// table is rows of cells, the first of them the head.
type table [][]string

func (t *table) add(format string, args ...any) {
	*t = append(*t, strings.Split(fmt.Sprintf(format, args...), "|"))
}

// markdown writes the table for the page.
func (t table) markdown() string {
	var b strings.Builder
	for i, row := range t {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	return b.String()
}

// cut is a kind's short name, and what it does.
func cut(k Kind) (name, does string, ok bool) {
	name, does, ok = strings.Cut(string(k), ": ")
	return strings.ReplaceAll(name, " ", "_"), does, ok
}

// actors is what each kind had.
func (r *report) actors() (t table) {
	t.add("Who|Lots|Profit a lot, NTX|More than honest, NTX|Found|Fees a lot, ADA")
	row := func(k Kind, lots string) {
		s := r.result.By[k]
		found := "–"
		if s.Wrong > 0 {
			found = fmt.Sprintf("%.1f %%", 100*s.Found/s.Wrong)
		}
		t.add("%s|%s|%.3f|%.3f|%s|%.2f", k, lots, s.mean(s.Profit), s.mean(s.Gain), found, s.Fees/s.Lots)
	}
	for _, k := range r.setup.Providers {
		row(k.Kind, fmt.Sprintf("%.0f", r.result.By[k.Kind].Lots))
	}
	for _, k := range r.setup.Requesters {
		row(k.Kind, fmt.Sprintf("%.0f", r.result.By[k.Kind].Lots))
	}
	return t
}

// promised are the claims.
func (r *report) promised() (t table) {
	t.add("Claim|Measured|Wanted|")
	for _, c := range r.claims() {
		verdict := "holds"
		if !c.holds {
			verdict = "**fails**"
		}
		t.add("%s|%.4f|%s|%s", c.what, c.value, c.limit, verdict)
	}
	return t
}

// boundShards are the lots for which rates are shown.
var boundShards = []uint32{1, 4, 8, 20, 50, 100, 200}

// bounds are the least rates, and the work at the requester's that they mean.
func (r *report) bounds() (t table) {
	t.add("Shards of a lot|It earns nothing|cost|It earns no more than work|cost|It earns nothing, no stake at risk|cost")
	d, c := r.setup.Deal, r.setup.check(0)
	work := float64(d.WorkUNTX) / float64(d.PriceUNTX)
	for _, n := range boundShards {
		d.Shards = n
		rate, ok := d.LeastRate(c, 0)
		honest, ok2 := d.LeastRate(c, d.Honest())
		bare, ok3 := unstaked(d).LeastRate(c, 0)
		t.add("%d|%s|%s|%s|%s|%s|%s", n, percent(rate, ok), percent(rate*work, ok), percent(honest, ok2),
			percent(honest*work, ok2), percent(bare, ok3), percent(bare*work, ok3))
	}
	return t
}

// unstaked is a deal with no stake at risk.
func unstaked(d trust.Deal) trust.Deal {
	d.Terms.Disputes.AtRiskUNTX = 0
	return d
}

// policies are what each way to verify makes of nonsense.
func (r *report) policies() (t table) {
	t.add("Policy|Not found, NTX|Found, NTX|Least rate, 1 shard|Least rate, %d shards|Why", r.setup.Deal.Shards)
	all, c := r.setup.Deal, r.setup.check(0)
	row := func(what string, d trust.Deal, found float64, looks bool, why string) {
		one := d
		one.Shards = 1
		a, ok := one.LeastRate(c, 0)
		b, ok2 := d.LeastRate(c, 0)
		ok, ok2 = ok && looks, ok2 && looks
		t.add("%s|%+.2f|%+.2f|%s|%s|%s", what, d.Paid()/ntx, found/ntx, percent(a, ok), percent(b, ok2), why)
	}
	plain := all
	plain.Terms.Disputes = plutus.Disputes{}
	row("`accept`", plain, plain.Found(c), true, "what has the right form is paid")
	row("`review`, no attesters", plain, plain.Found(c), true, "it commits, and claims after the review, whatever you think")
	row("training, no attesters", plain, plain.Found(c), true, "the same; hashes and traffic show who did not take part, not who lied")
	row("attesters, shards run again", all, all.Found(c), true, "it has committed before anything is approved, and only a verdict is left: cost, slash and stake")
	bare := unstaked(all)
	row("the same, no stake at risk", bare, bare.Found(c), true, "a verdict takes cost and slash")
	row("`voucher_every`", all, 0, false, "it redeems what it has, with its whole bond, before anybody can dispute")
	return t
}

// unitRates are the rates for which units and stakes are shown.
var unitRates = []float64{0.01, 0.02, 0.03, 0.05, 0.1, 0.2}

// bearable is the share of a price that one that does nothing may get by vouchers.
const bearable = 0.1

// units are how finely a price must be divided, and what stake would do instead.
func (r *report) units(rates []float64) (t table) {
	t.add("Rate|Shards of a lot, at least|Unit at most, NTX|Stake at risk that does for a lot of one shard, NTX|" +
		"Vouchers, at least, so that one that does nothing gets a tenth|Unit at most, NTX")
	for _, rate := range rates {
		d, c := r.setup.Deal, r.setup.check(0)
		c.Rate = rate
		n, ok := d.LeastShards(c, 0)
		v, ok2 := d.LeastUnits(c, bearable*d.Paid())
		d.Shards = 1
		stake, ok3 := d.LeastStake(c, 0)
		t.add("%.0f %%|%s|%s|%s|%s|%s", 100*rate, bound(ok, "%d", n), bound(ok, "%.3f", d.Paid()/ntx/float64(n)),
			bound(ok3, "%.1f", float64(stake)/ntx), bound(ok2, "%d", v), bound(ok2, "%.4f", d.Paid()/ntx/float64(v)))
	}
	return t
}

// captures are the rates and stakes at which nonsense earns nothing, by how many attesters can be hired.
func (r *report) captures(shares []float64) (t table) {
	q := r.setup.Deal.Terms.Disputes
	n := len(q.Attesters.List())
	t.add("Attesters for hire|Chance that %d of %d are|Least rate|Stake at risk, at least, at %.0f %%, NTX", q.Threshold, n, 100*r.setup.Rate)
	for _, x := range shares {
		w := panel(n, int(q.Threshold), x)
		rate, ok := r.setup.Deal.LeastRate(r.setup.check(w), 0)
		stake, ok2 := r.setup.Deal.LeastStake(r.setup.check(w), 0)
		t.add("%.0f %%|%.1f %%|%s|%s", 100*x, 100*w, percent(rate, ok), bound(ok2, "%.2f", float64(stake)/ntx))
	}
	return t
}

// panel is the chance that at least k of n are of a kind of which there is such a share.
func panel(n, k int, share float64) (p float64) {
	for i := k; i <= n; i++ {
		ways := 1.0
		for j := range i {
			ways *= float64(n-j) / float64(j+1)
		}
		p += ways * math.Pow(share, float64(i)) * math.Pow(1-share, float64(n-i))
	}
	return p
}

// bound is the cell of something that there may not be.
func bound(ok bool, format string, args ...any) string {
	if !ok {
		return "none"
	}
	return fmt.Sprintf(format, args...)
}

func percent(v float64, ok bool) string { return bound(ok, "%.1f %%", 100*v) }

// flips are the sweeps.
func (r *report) flips() (rates, crooks table) {
	rates.add("Shards run again|Lazy, NTX a lot|Found|Cost of verification")
	for _, p := range r.byRate {
		s := p.By[Lazy]
		rates.add("%.1f %%|%.3f|%.1f %%|%.2f %%", 100*p.Rate, s.mean(s.Profit), 100*s.Found/s.Wrong, 100*p.verification())
	}
	crooks.add("Attesters for hire|Colluding, NTX a lot|Griefing, NTX a lot|Honest providers' loss to false disputes")
	for _, p := range r.byCrook {
		s, g := p.By[Colluding], p.By[Griefing]
		crooks.add("%.0f %%|%.3f|%.3f|%.3f %%", 100*p.Crook, s.mean(s.Profit), g.mean(g.Gain), 100*p.falseLoss())
	}
	return rates, crooks
}

// fee is what a transaction of each of these kinds costs together, in ADA.
func (r *report) fee(kinds ...escrow.Kind) (sum float64) {
	for _, k := range kinds {
		sum += r.fees[k]
	}
	return sum
}

// sides are what goes wrong costs each side of one lot: NTX by the contracts, fees by the bench.
func (r *report) sides() (t table) {
	d, fee := r.setup.Deal, r.fee
	q := d.Terms.Disputes
	paid, cost, work := d.Paid(), float64(q.CostUNTX), float64(d.WorkUNTX)
	t.add("What|Provider, NTX|ADA|Requester, NTX|ADA|Who else, NTX")
	row := func(what string, provider, providerFee, requester, requesterFee float64, other string) {
		t.add("%s|%+.2f|%.2f|%+.2f|%.2f|%s", what, provider/ntx, providerFee, requester/ntx, fee(escrow.KindOpen)+requesterFee, other)
	}
	payee := market.FormatNTX(q.CostUNTX) + " to the payee"
	row("nothing: approved", paid-work, fee(escrow.KindCommit), -paid, fee(escrow.KindApprove), "–")
	row("approval withheld: committed, claimed", paid-work, fee(escrow.KindCommit, escrow.KindClaim), -paid, 0, "–")
	row("false dispute, judged right", paid-work, fee(escrow.KindCommit, escrow.KindVerdict), -paid-cost, fee(escrow.KindDispute), payee)
	row("false dispute, given up", paid-work, fee(escrow.KindCommit), -paid-cost, fee(escrow.KindDispute, escrow.KindConcede), payee)
	row("false dispute, no verdict", d.Lapse()-work, fee(escrow.KindCommit, escrow.KindLapse), -d.Lapse(), fee(escrow.KindDispute), "–")
	row("no-show", d.Walk(), 0, -d.Walk(), fee(escrow.KindRefund), "–")
	row("late: worked, missed commit_by", d.Walk()-work, 0, -d.Walk(), fee(escrow.KindRefund), "–")
	slash := plutus.PenaltyOf(d.PriceUNTX, q.SlashBps)
	row("nonsense, found, judged", d.Judged(), fee(escrow.KindCommit), 0, fee(escrow.KindDispute, escrow.KindVerdict),
		payee+", "+market.FormatNTX(slash+q.AtRiskUNTX)+" to the sink")
	return t
}

// sliced are the same of one lot of a slice; the requester's fees are for all of it.
func (r *report) sliced() (t table) {
	d, fee := r.setup.Deal, r.fee
	paid, work := d.Paid(), float64(d.WorkUNTX)
	t.add("What|Provider, NTX|ADA|Requester, NTX|ADA, of the slice")
	row := func(what string, provider, providerFee, requester float64, requesterFee ...escrow.Kind) {
		t.add("%s|%+.2f|%.2f|%+.2f|%.2f", what, provider/ntx, providerFee, requester/ntx, fee(escrow.KindStart)+fee(requesterFee...))
	}
	row("nothing: settled", paid-work, 0, -paid, escrow.KindSettle)
	row("approval withheld: left with its result, claimed", paid-work, fee(escrow.KindLeave, escrow.KindClaim), -paid, escrow.KindSettle)
	row("no-show", d.Walk(), 0, -d.Walk(), escrow.KindFinish, escrow.KindRefund)
	row("late leave: worked, neither paid nor out by commit_by", d.Walk()-work, 0, -d.Walk(), escrow.KindFinish, escrow.KindRefund)
	row("late leave of all: the slice is dissolved", d.Walk()-work, 0, -d.Walk(), escrow.KindDissolve)
	return t
}

// generated is what the page has between its marks.
func (r *report) generated() string {
	s, d := r.setup, r.setup.Deal
	q := d.Terms.Disputes
	rates, crooks := r.flips()
	var b strings.Builder
	fmt.Fprintf(&b, "**The lot.** Price %s NTX, of which honest work costs %.0f %%; bond %.0f %%, penalty %.0f %%, both as offers ask by default. A dispute costs\n"+
		"%s NTX and asks a bond of %s; the slash is %.0f %% of the price, and %s NTX are at risk of a stake. %d of %d attesters decide.\n\n",
		market.FormatNTX(d.PriceUNTX), 100*float64(d.WorkUNTX)/float64(d.PriceUNTX), float64(d.Terms.BondBps)/100, float64(d.Terms.PenaltyBps)/100,
		market.FormatNTX(q.CostUNTX), market.FormatNTX(q.BondUNTX), float64(q.SlashBps)/100, market.FormatNTX(q.AtRiskUNTX), q.Threshold, len(q.Attesters.List()))
	fmt.Fprintf(&b, "### By policy\n\nWhat nonsense brings, and how often shards must be run again so that it earns nothing.\n\n%s\n", r.policies().markdown())
	fmt.Fprintf(&b, "### How often to look\n\nThe least rate at which nonsense does not pay; cost is the work that it means to the requester, of the price.\n\n%s\n", r.bounds().markdown())
	fmt.Fprintf(&b, "### Units and stakes\n\n%s\nAttesters for hire make looking worth less. What it then takes so that nonsense earns nothing:\n\n%s\n", r.units(unitRates).markdown(), r.captures(sweepCrooks).markdown())
	fmt.Fprintf(&b, "### Played\n\n%d jobs of %d lots, of %d shards, of which honest requesters run %.0f %% again; %.0f %% of attesters can be hired.\n\n%s\n"+
		"Lots of requesters are those of honest providers only, and their profit is what they keep of the price.\n\n%s\n",
		s.Jobs, s.Lots, d.Shards, 100*s.Rate, 100*s.Crook, r.actors().markdown(), r.promised().markdown())
	worth := func(price float64, ok bool) string {
		if !ok {
			return "no lots"
		}
		return fmt.Sprintf("lots worth %.1f ADA or more", price)
	}
	fmt.Fprintf(&b, "Fees are beside these. With them, honest providers' loss stays below 0.1 %% in %s, and verification below\n"+
		"5 %% in %s.\n\n", worth(r.result.falsePrice()), worth(r.checkedPrice()))
	fmt.Fprintf(&b, "### Where it flips\n\n%s\n%s\n", rates.markdown(), crooks.markdown())
	fmt.Fprintf(&b, "### What goes wrong, and what it costs\n\nOf one such lot. Plus is gain; ADA are fees, the opening included. What the work cost an honest provider is taken off.\n\n%s\n"+
		"Of one of %d lots of that price in a [slice](../reference/slices.md), of a job without attesters. The others are settled and pay\n"+
		"nothing, but in the last row.\n\n%s", r.sides().markdown(), plutus.MaxShares, r.sliced().markdown())
	return b.String()
}

// console is the same for a terminal.
func (r *report) console() string {
	var b strings.Builder
	for _, t := range []table{r.actors(), r.promised()} {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range t {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		w.Flush()
		b.WriteString("\n")
	}
	return b.String()
}

// between is a page with other text between its marks.
func between(text []byte, generated string) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(opening))
	_, after, ok2 := bytes.Cut(rest, []byte(closing))
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s lacks the marks between which tables stand", page)
	}
	return fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, opening, generated, closing, after), nil
}

func (r *report) writePage(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = between(text, r.generated()); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
