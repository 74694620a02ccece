//go:build onnode

package plutus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet/measure"
)

// expense is one transaction of some lots. Amounts are lovelace, gained or lost by one party.
type expense struct {
	transition, addresses string
	lots                  int
	units                 chain.ExUnits
	bytes                 int
	fee                   chain.Lovelace
	requester, provider   int64 // one of the providers
	submitter             int64 // if it is another
}

// crowd is a world of many providers, some with stake keys.
type crowd struct {
	*world
	references []chain.UTxO
	base       bool
	split      bool // bond inputs hold exactly what goes into the lots
}

func newCrowd(t *testing.T, n int, base, split bool) *crowd {
	t.Helper()
	w := newWorld(t, silentBlueprint)
	refs := w.publish(t)
	c := &crowd{world: w, references: refs, base: base, split: split}
	c.gather(n)
	return c
}

// gather makes n providers.
func (c *crowd) gather(n int) {
	c.providers, c.addresses = nil, nil
	for i := range n {
		c.providers = append(c.providers, chaintest.NewActor(fmt.Sprint("provider of many ", i)))
	}
	slices.SortFunc(c.providers, func(a, b chaintest.Actor) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	for i, p := range c.providers {
		a := p.Address
		if c.base {
			a = chain.Base(c.Network, p.Hash, chaintest.NewActor(fmt.Sprint("stake of many ", i)).Hash)
		}
		c.addresses = append(c.addresses, a)
	}
}

func (c *crowd) frame(from chain.Slot) Frame {
	f := c.world.frame(from)
	f.References = c.references
	return f
}

// parts are the providers' parts. What is split beforehand has no change.
func (c *crowd) parts(n int) (ps []Part) {
	for i, p := range c.providers[:n] {
		v := chain.Coins(7_000_000).With(ntx, bond+1_000_000)
		if c.split {
			v = chain.Coins(ada).With(ntx, bond)
		}
		in := p.Coin(50, v)
		in.Address = c.addresses[i]
		ps = append(ps, Part{Provider: c.addresses[i], PriceUNTX: price, BondInput: in, BondChange: c.addresses[i]})
	}
	return ps
}

// sized is a draft of n lots, and who submits it.
type sized struct {
	name  string
	payer chaintest.Actor
	most  int // 0: as many as fit
	draft func(n int) (chain.Draft, error)
}

// sliced are the transitions of slices: of n shares, in full slices but for the last.
func (c *crowd) sliced(t *testing.T) []sized {
	one := func(n int) Slice { return c.slicesOf(t, 1, n, c.terms)[0] }
	return []sized{
		{"slice/start", c.requester, 0, func(n int) (chain.Draft, error) {
			return c.Start(c.terms, c.parts(n), c.seed(), c.frame(c.moments.open))
		}},
		{"slice/settle", c.requester, 0, func(n int) (chain.Draft, error) {
			of, jobs := c.started(t, n)
			return c.Settle(of, jobs, c.frame(c.work))
		}},
		{"slice/leave", c.stranger, MaxShares, func(n int) (chain.Draft, error) {
			f, leavers := c.frame(c.work), []Leaver(nil)
			for i := range n {
				leavers = append(leavers, Leaver{i, [32]byte{9, byte(i)}})
			}
			return c.Leave(one(MaxShares), c.terms, leavers, ClaimAt(c.terms, f.Until, c.clock), f)
		}},
		{"slice/finish", c.requester, MaxShares, func(n int) (chain.Draft, error) {
			var lots []int
			for i := range n {
				lots = append(lots, i)
			}
			return c.Finish(one(MaxShares), c.terms, lots, c.frame(c.work))
		}},
		{"slice/dissolve", c.stranger, MaxShares, func(n int) (chain.Draft, error) {
			return c.Dissolve(one(n), c.terms, c.frame(c.moments.refund))
		}},
	}
}

// startable is how many shares a start holds, and so one job.
const startable = 85

// started are slices of n shares, of as many jobs as there must be to start them, and the jobs' terms.
func (c *crowd) started(t *testing.T, n int) (of []Slice, jobs []Terms) {
	for from := 0; from < n; from += startable {
		terms := c.terms
		terms.Rest[31] = byte(len(jobs))
		of, jobs = append(of, c.slicesOf(t, from, min(n-from, startable), terms)...), append(jobs, terms)
	}
	return of, jobs
}

// slicesOf are slices of n of the providers.
func (c *crowd) slicesOf(t *testing.T, from, n int, terms Terms) (all []Slice) {
	for n > 0 {
		size := min(n, MaxShares)
		var of []int
		for i := range size {
			of = append(of, from%len(c.addresses)+i)
		}
		all = append(all, c.sliceOf(t, byte(1+len(all)+8*int(terms.Rest[31])), terms, of...))
		from, n = from+size, n-size
	}
	return all
}

func (c *crowd) transitions(t *testing.T) []sized {
	lots := func(n int) (ls []Lot) {
		for i := range n {
			ls = append(ls, c.lot(t, byte(i), i, Open))
		}
		return ls
	}
	disputed := func() Lot { return c.disputedLot(t) }
	one := func(f func() (chain.Draft, error)) func(int) (chain.Draft, error) {
		return func(int) (chain.Draft, error) { return f() }
	}
	return []sized{
		{"open", c.requester, 0, func(n int) (chain.Draft, error) {
			return c.Open(c.terms, c.parts(n), c.seed(), c.frame(c.moments.open))
		}},
		{"commit", c.providers[0], 1, one(func() (chain.Draft, error) {
			f := c.frame(c.work)
			return c.Commit(c.lot(t, 1, 0, Open), c.terms, [32]byte{9}, ClaimAt(c.terms, f.Until, c.clock), f)
		})},
		{"settle", c.requester, 0, func(n int) (chain.Draft, error) { return c.Approve(lots(n), c.terms, c.frame(c.work)) }},
		{"claim", c.providers[0], 0, func(n int) (chain.Draft, error) { return c.Claim(c.claims(t, n), c.frame(c.moments.claim)) }},
		{"refund", c.stranger, 0, func(n int) (chain.Draft, error) { return c.Refund(lots(n), c.terms, c.frame(c.moments.refund)) }},
		{"decline", c.providers[0], 1, one(func() (chain.Draft, error) {
			return c.Decline(c.lot(t, 1, 0, Open), c.terms, c.frame(c.moments.open))
		})},
		{"redeem", c.providers[0], 0, func(n int) (chain.Draft, error) { return c.Redeem(c.earned(t, n), c.frame(c.work)) }},
		{"close", c.requester, 1, one(func() (chain.Draft, error) {
			return c.Close(disputed(), c.contested, price/2, c.frame(c.moments.verdict))
		})},
		{"dispute", c.requester, 1, one(func() (chain.Draft, error) {
			f := c.frame(c.moments.dispute)
			return c.Dispute(c.lotOf(t, 1, 0, Committed, c.contested), c.contested, Deadline(c.contested, f.Until, c.clock), f)
		})},
		{"verdict", c.stranger, 1, one(func() (chain.Draft, error) {
			l := disputed()
			return c.Verdict(l, c.contested, c.decided(l, award, slash, "attester0", "attester2"), c.frame(c.moments.verdict))
		})},
		{"concede", c.requester, 1, one(func() (chain.Draft, error) {
			return c.Concede(disputed(), c.contested, c.frame(c.moments.verdict))
		})},
		{"lapse", c.stranger, 1, one(func() (chain.Draft, error) { return c.Lapse(disputed(), c.contested, c.frame(c.moments.lapse)) })},
	}
}

// earned are vouchers for half the price of n open lots of the first provider, each of a job of its own.
func (c *crowd) earned(t *testing.T, n int) (all []Earned) {
	for i := range n {
		terms := c.otherContested(byte(i))
		l := c.lotOf(t, byte(i+1), 0, Open, terms)
		all = append(all, Earned{l, terms, c.voucher(l.Job, price/2)})
	}
	return all
}

// errTooMany is a transition of more lots than one transaction holds.
var errTooMany = errors.New("too many lots")

// expense builds and checks a transaction, under mainnet's parameters.
func (c *crowd) expense(t *testing.T, name string, n int, d chain.Draft, payer chaintest.Actor) (x expense, err error) {
	t.Helper()
	tx, err := c.submit(d, payer)
	if errors.Is(err, chain.ErrLedgerRule) || err != nil && strings.Contains(err.Error(), "out of budget") {
		return x, errTooMany
	}
	if err != nil {
		t.Fatal(name, n, c.Explain(err))
	}
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	x = expense{transition: name, addresses: "enterprise", lots: n, units: tx.Units(), bytes: len(tx.Bytes()), fee: body.Fee}
	if c.base {
		x.addresses = "base"
	}
	gain := func(of ...chain.Address) (sum int64) {
		for _, u := range body.Outputs {
			if slices.Contains(of, u.Address) {
				sum += int64(u.Value.Coin)
			}
		}
		for _, u := range tx.Resolved() {
			if slices.Contains(of, u.Address) && slices.Contains(body.Inputs, u.Ref) {
				sum -= int64(u.Value.Coin)
			}
		}
		return sum
	}
	x.requester, x.provider = gain(c.requester.Address), gain(c.addresses[0], c.providers[0].Address)
	if payer.Hash == c.stranger.Hash {
		x.submitter = gain(c.stranger.Address)
	}
	return x, nil
}

// costs measures transitions, all unless some are named, at the sizes of interest and at the largest that fits.
func (c *crowd) costs(t *testing.T, only ...string) (all []expense) {
	t.Helper()
	for _, tr := range append(c.transitions(t), c.sliced(t)...) {
		if len(only) > 0 && !slices.Contains(only, tr.name) {
			continue
		}
		try := func(n int) (expense, error) {
			d, err := tr.draft(n)
			if err != nil {
				t.Fatal(tr.name, n, err)
			}
			return c.expense(t, tr.name, n, d, tr.payer)
		}
		for _, n := range []int{1, 10, 20, 30, 60, 100, 150} {
			if tr.most > 0 && n > tr.most {
				break
			}
			x, err := try(n)
			if err != nil {
				break
			}
			all = append(all, x)
		}
		if tr.most > 0 {
			continue
		}
		low, high := all[len(all)-1], len(c.providers)+1 // low fits, high does not
		for low.lots+1 < high {
			n := (low.lots + high) / 2
			if x, err := try(n); err == nil {
				low = x
			} else {
				high = n
			}
		}
		if low.lots == len(c.providers) {
			t.Fatalf("%s: more than %d lots fit", tr.name, low.lots)
		}
		all = append(all, low)
	}
	return all
}

// Where the anchors' figures are from.
const (
	subbit = "Subbit (github.com/kompact-io/subbit-xyz), its validators evaluated under mainnet's parameters when these contracts were designed; not measured again by this run"
	masumi = "Masumi payment v2 (github.com/masumi-network/masumi-payment-service), its validators evaluated under mainnet's parameters when these contracts were designed; not measured again by this run"
)

// MeasureSettlement measures every transition, submits the largest of each to a node, and writes the file that
// SETTLEMENT_OUT names.
func MeasureSettlement(t *testing.T, n *node.Node, bank chaintest.Actor) {
	const enough = 220
	var all []expense
	for _, base := range []bool{false, true} {
		all = append(all, newCrowd(t, enough, base, true).costs(t)...)
	}
	var change []expense
	for _, base := range []bool{false, true} {
		change = append(change, newCrowd(t, enough, base, false).costs(t, "open", "slice/start")...)
	}
	table(all)
	most := func(of []expense, transition, addresses string) (best expense) {
		for _, x := range of {
			if x.transition == transition && x.addresses == addresses && x.lots >= best.lots {
				best = x
			}
		}
		return best
	}
	f := newField(t, n, bank)
	submitted := append(f.settle(t, most(all, "open", "enterprise").lots, most(all, "claim", "enterprise").lots),
		f.slices(t, most(all, "slice/settle", "enterprise").lots-2)...) // a purse of several coins takes the room of two

	var ms []measure.Measure
	add := func(name string, v float64, unit string) *measure.Measure {
		ms = append(ms, measure.Measure{Name: name, Value: v, Unit: unit})
		return &ms[len(ms)-1]
	}
	rate := func(m *measure.Measure, anchor float64, source string) { *m = m.AgainstRate(anchor, source) }
	less := func(m *measure.Measure, anchor float64, source string) { *m = m.AgainstTime(anchor, source) }
	for _, a := range []string{"enterprise", "base"} {
		suffix := map[string]string{"base": "/base"}[a]
		rate(add("per_tx/settle"+suffix, float64(most(all, "settle", a).lots), "lots"), 36, subbit)
		rate(add("per_tx/claim"+suffix, float64(most(all, "claim", a).lots), "lots"), 36, subbit)
		rate(add("per_tx/voucher"+suffix, float64(most(all, "redeem", a).lots), "lots"), 36, subbit)
		add("per_tx/open"+suffix, float64(most(all, "open", a).lots), "lots")
		add("per_tx/refund"+suffix, float64(most(all, "refund", a).lots), "lots")
		rate(add("per_tx/slice/settle"+suffix, float64(most(all, "slice/settle", a).lots), "shares"), 36, subbit)
		add("per_tx/slice/start"+suffix, float64(most(all, "slice/start", a).lots), "shares")
	}
	for _, a := range []string{"enterprise", "base"} {
		suffix := map[string]string{"base": "/base"}[a]
		lots, shares := most(change, "open", a).lots, most(change, "slice/start", a).lots
		if lots < MostLots || shares < MostShares {
			t.Errorf("%d lots and %d shares in one opening, %s addresses; matching counts on %d and %d", lots, shares, a, MostLots, MostShares)
		}
		add("per_tx/open/change"+suffix, float64(lots), "lots")
		add("per_tx/slice/start/change"+suffix, float64(shares), "shares")
	}
	for _, name := range []string{"settle", "claim", "open", "refund", "redeem", "slice/settle", "slice/start"} {
		x := most(all, name, "enterprise")
		add("fee_ada_each/"+name, float64(x.fee)/float64(x.lots)/1e6, "ADA")
	}
	for _, x := range all {
		if x.transition == "slice/settle" && x.addresses == "enterprise" && (x.lots == 20 || x.lots == 150) {
			add(fmt.Sprintf("fee_ada/slice/settle/%d", x.lots), float64(x.fee)/1e6, "ADA")
		}
	}
	for _, x := range submitted {
		add("submitted/"+x.transition, float64(x.lots), "lots")
	}
	w := newWorld(t, silentBlueprint)
	held := func(i int) float64 { return float64(w.ledger.MinCoin(w.lotIn(1, i, Committed, w.terms).Output)) / 1e6 }
	less(add("locked_ada_per_lot", held(0), "ADA"), 1.95, subbit)
	less(add("locked_ada_per_lot/base", held(1), "ADA"), 1.95, subbit)
	least, err := w.LotLovelace(w.ledger)
	if err != nil {
		t.Fatal(err)
	}
	add("locked_ada_per_lot/as_agreed", float64(least)/1e6, "ADA")
	add("script_bytes/settlement", float64(len(w.PolicyScript)), "bytes")
	add("script_bytes/slices", float64(len(w.Slices.PolicyScript)+len(w.Slices.StubScript)), "bytes")
	less(add("script_bytes/total", float64(len(w.PolicyScript)+len(w.StubScript)), "bytes"), 9892, masumi)
	first, next := claimMem(all)
	less(add("claim_mem/first", first, "mem"), 267_482, subbit)
	less(add("claim_mem/next", next, "mem"), 256_000, subbit)
	for _, x := range all {
		name := fmt.Sprintf("costs/%s/%s/%d/", x.transition, x.addresses, x.lots)
		add(name+"mem", float64(x.units.Mem), "mem")
		add(name+"cpu", float64(x.units.Steps), "steps")
		add(name+"bytes", float64(x.bytes), "bytes")
		add(name+"fee", float64(x.fee)/1e6, "ADA")
		add(name+"requester", float64(x.requester)/1e6, "ADA")
		add(name+"provider", float64(x.provider)/1e6, "ADA")
	}
	head := slices.DeleteFunc(slices.Clone(ms), func(m measure.Measure) bool { return strings.HasPrefix(m.Name, "costs/") })
	if err := measure.Table(os.Stdout, head); err != nil {
		t.Fatal(err)
	}
	if out := os.Getenv("SETTLEMENT_OUT"); out != "" {
		if err := measure.Write(out, ms); err != nil {
			t.Fatal(err)
		}
	}
}

// claimMem is the memory of a lone claim, and of one more among ten.
func claimMem(all []expense) (first, next float64) {
	for _, x := range all {
		switch {
		case x.transition != "claim" || x.addresses != "enterprise":
		case x.lots == 1:
			first = float64(x.units.Mem)
		case x.lots == 10:
			next = (float64(x.units.Mem) - first) / 9
		}
	}
	return first, next
}

func table(all []expense) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TRANSITION\tADDRESSES\tLOTS\tMEM\tCPU\tBYTES\tFEE ADA\tEACH\tREQUESTER ADA\tA PROVIDER ADA\tSUBMITTER ADA\t")
	for _, x := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.6f\t%.6f\t%+.6f\t%+.6f\t%+.6f\t\n", x.transition, x.addresses, x.lots, x.units.Mem, x.units.Steps,
			x.bytes, float64(x.fee)/1e6, float64(x.fee)/1e6/float64(x.lots), float64(x.requester)/1e6, float64(x.provider)/1e6, float64(x.submitter)/1e6)
	}
	w.Flush()
}
