//go:build fuzzcontracts

package plutus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// deal is what the model of the protocol judges: a transaction that the ledger takes. The model knows nothing of how
// the contracts check: it knows who signed, what went in, what came out, and what was agreed.
type deal struct {
	*world
	terms    map[JobID]Terms // of every job that has lots
	body     chain.TxBody
	resolved map[chain.OutRef]chain.UTxO
	action   []byte // the policy's redeemer
	move     []byte // that of the slices' policy
	signed   []chain.KeyHash
}

// errHarm is a transaction that moves value or rights which are not the signers' to move.
var errHarm = errors.New("harm")

func harm(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errHarm, fmt.Sprintf(format, args...))
}

// due is what a party gets in plain outputs when lots end: at least.
type due map[chain.Address]chain.Value

func (d due) add(a chain.Address, v chain.Value) {
	sum, err := d[a].Add(v)
	if err != nil {
		panic(err)
	}
	d[a] = sum
}

// judge says whether a transaction that the contracts accept does harm.
func (d *deal) judge() error {
	b := d.body
	staked, err := d.staked()
	if err != nil {
		return err
	}
	if !d.concerned() && !d.ofSlices() {
		return d.owned(staked)
	}
	if b.HasCertificates || b.HasWithdrawals || b.HasVotes || b.HasProposals {
		return harm("something beside the transition")
	}
	if b.Until == 0 || b.From == 0 || uint64(d.at(b.Until)-d.at(b.From)) > d.Params.MaxRangeMS {
		return harm("valid from slot %d until %d", b.From, b.Until)
	}
	if d.ofSlices() {
		return d.judgeSlices()
	}
	for id := range b.Mint {
		if id.Policy != d.Policy {
			return harm("another policy mints")
		}
	}
	before, err := d.spent()
	if err != nil {
		return err
	}
	if len(staked) > 0 && (len(before) != 1 || before[0].State != Disputed) {
		return harm("a stake is spent beside %d lots", len(before))
	}
	after, err := d.made()
	if err != nil {
		return err
	}
	switch {
	case len(before) == 0:
		return d.opens(after)
	case len(after) > 0:
		return d.continues(before, after)
	}
	return d.ends(before, staked)
}

// concerned says whether the transaction has anything of ours: a token minted, burned or moved, or an output at our
// address that is spent.
func (d *deal) concerned() bool {
	for id := range d.body.Mint {
		if id.Policy == d.Policy {
			return true
		}
	}
	for _, u := range d.body.Outputs {
		if d.hasToken(u.Value) {
			return true
		}
	}
	for _, ref := range d.body.Inputs {
		if s, ok := d.resolved[ref].Address.Script(); ok && chain.ScriptHash(s) == d.Stub {
			return true
		}
	}
	return false
}

// spent are the lots among the inputs. No other script's output may be spent beside them.
func (d *deal) spent() (lots []Lot, err error) {
	for _, ref := range d.body.Inputs {
		u := d.resolved[ref]
		if h, script := u.Address.Script(); !script || chain.ScriptHash(h) == d.Stake {
			continue
		}
		l, err := d.ReadLot(u, d.terms[d.JobOf(u)])
		if err != nil {
			return nil, harm("a script's output is spent that is no lot: %v", err)
		}
		lots = append(lots, l)
	}
	return lots, nil
}

// made are the lots among the outputs. A lot token is nowhere else.
func (d *deal) made() (lots []Lot, err error) {
	terms := d.terms
	if t, id, ok := d.opening(); ok {
		terms = map[JobID]Terms{id: t}
	}
	for _, u := range d.body.Outputs {
		if !d.hasToken(u.Value) {
			continue
		}
		t, known := terms[d.JobOf(u)]
		if !known {
			return nil, harm("a token of an unknown job")
		}
		l, err := d.ReadLot(u, t)
		if err != nil {
			return nil, harm("a token in what is no lot: %v", err)
		}
		if l.BondUNTX != BondOf(l.PriceUNTX, t.BondBps) {
			return nil, harm("a lot with a bond of %d for %d", l.BondUNTX, l.PriceUNTX)
		}
		lots = append(lots, l)
	}
	return lots, nil
}

// opening is what an opening's redeemer says. That a key is no key at all does no harm on chain: nobody can sign with it,
// and no provider witnesses such terms. So it is not among what is judged here.
func (d *deal) opening() (t Terms, id JobID, ok bool) {
	x, err := chain.DecodeData(d.action)
	if err != nil {
		return t, id, false
	}
	f, ok := fields(x, 0, 1)
	if !ok {
		return t, id, false
	}
	b, ok := f[0].(*data.ByteString)
	if !ok {
		return t, id, false
	}
	t, err = UnpackTerms(b.Inner, d.Network)
	if err != nil && t.VoucherKey != (PublicKey{}) {
		t.VoucherKey = d.contested.VoucherKey
		var keys []PublicKey
		said := t.Disputes.Attesters.List()
		for i, k := range said {
			if i > 0 && string(k[:]) <= string(said[i-1][:]) {
				return t, id, false
			}
			keys = append(keys, KeyOf(signer(fmt.Sprint("attester", i))))
		}
		t.Disputes.Attesters = NewKeys(keys...)
		err = t.Validate()
	}
	return t, jobID(b.Inner), err == nil
}

// opens: everything agreed is within the network's limits, and there is one open lot for each provider.
func (d *deal) opens(lots []Lot) error {
	if len(lots) == 0 {
		return harm("tokens without lots")
	}
	t, _, ok := d.opening()
	if !ok {
		return harm("lots out of nothing")
	}
	if err := d.agreeable(t); err != nil {
		return err
	}
	seen := map[chain.KeyHash]bool{}
	for _, l := range lots {
		k, _ := l.Provider.Key()
		if l.State != Open || l.Lovelace < t.LotLovelace || seen[k] || !isParty(l.Provider) {
			return harm("lot in state %d with %d lovelace, its provider known %v", l.State, l.Lovelace, seen[k])
		}
		seen[k] = true
		if lost := t.Disputes.CostUNTX + PenaltyOf(l.PriceUNTX, t.Disputes.SlashBps); t.Disputes != (Disputes{}) && lost > l.BondUNTX {
			return harm("a bond of %d, and %d to lose", l.BondUNTX, lost)
		}
	}
	return nil
}

// agreeable: what a job's first transaction says is within the network's limits.
func (d *deal) agreeable(t Terms) error {
	p, until := d.Params, d.at(d.body.Until)
	switch {
	case !slices.Contains(d.body.Inputs, t.Seed):
		return harm("the seed is not spent")
	case until >= t.DeclineBy, t.DeclineBy > t.CommitBy, uint64(t.CommitBy-until) > p.MaxHorizonMS, uint64(t.CommitBy-until) < p.MinHorizonMS:
		return harm("decline by %d, commit by %d, valid until %d", t.DeclineBy, t.CommitBy, until)
	case t.ReviewMS < p.MinReviewMS, t.ReviewMS > p.MaxReviewMS:
		return harm("a review of %d ms", t.ReviewMS)
	case t.LotLovelace < p.MinLotLovelace, t.PenaltyBps > t.BondBps, t.BondBps > wholeBps:
		return harm("%d lovelace, penalty %d, bond %d", t.LotLovelace, t.PenaltyBps, t.BondBps)
	case t.Disputes != (Disputes{}) && (t.Disputes.VerdictMS < p.MinVerdictMS || t.Disputes.VerdictMS > p.MaxVerdictMS):
		return harm("%d ms for a verdict", t.Disputes.VerdictMS)
	}
	return nil
}

// continues: one lot, by the will of its provider to commit or of its requester to dispute, in time, and the same lot
// but for what that adds.
func (d *deal) continues(before, after []Lot) error {
	if len(before) != 1 || len(after) != 1 {
		return harm("%d lots become %d", len(before), len(after))
	}
	x, y := before[0], after[0]
	t := d.terms[x.Job]
	until := d.at(d.body.Until)
	if x.Job != y.Job || x.Provider != y.Provider || x.PriceUNTX != y.PriceUNTX || x.BondUNTX != y.BondUNTX {
		return harm("another lot")
	}
	switch {
	case x.State == Open && y.State == Committed:
		if !d.has(x.Provider) || until > t.CommitBy || y.Lovelace < x.Lovelace || y.ClaimAt != until+chain.Time(t.ReviewMS) {
			return harm("a commitment, signed %v, until %d, with %d lovelace, claimed at %d", d.has(x.Provider), until, y.Lovelace, y.ClaimAt)
		}
	case x.State == Committed && y.State == Disputed && t.Disputes != (Disputes{}):
		if !d.has(t.Requester) || until > x.ClaimAt || y.Root != x.Root || y.Own != x.Lovelace || y.Lovelace < x.Lovelace+t.LotLovelace ||
			y.DisputeBondUNTX != t.Disputes.BondUNTX || y.Deadline != until+chain.Time(t.Disputes.VerdictMS) {
			return harm("a dispute, signed %v, until %d: %+v", d.has(t.Requester), until, y)
		}
	default:
		return harm("state %d becomes %d", x.State, y.State)
	}
	return nil
}

// ends: there is a way to end all these lots that the signers and the time allow, and in which everybody who has not
// signed gets what is due.
func (d *deal) ends(lots []Lot, staked []Stake) error {
	var why []error
	for _, way := range []struct {
		name string
		due  func(Lot, Terms, due) bool // false: not allowed
	}{
		{"approve", func(l Lot, t Terms, g due) bool {
			g.add(l.Provider, chain.Coins(l.Lovelace).With(ntx, l.PriceUNTX+l.BondUNTX))
			return d.has(t.Requester) && l.State <= Committed
		}},
		{"claim", func(l Lot, _ Terms, g due) bool {
			g.add(l.Provider, chain.Coins(l.Lovelace).With(ntx, l.PriceUNTX+l.BondUNTX))
			return l.State == Committed && d.has(l.Provider) && d.at(d.body.From) >= l.ClaimAt
		}},
		{"refund", func(l Lot, t Terms, g due) bool {
			p := PenaltyOf(l.PriceUNTX, t.PenaltyBps)
			g.add(t.Requester, chain.Value{}.With(ntx, l.PriceUNTX+p))
			g.add(l.Provider, chain.Coins(l.Lovelace).With(ntx, l.BondUNTX-p))
			return l.State == Open && d.at(d.body.From) >= t.CommitBy
		}},
		{"decline", func(l Lot, t Terms, g due) bool {
			g.add(t.Requester, chain.Value{}.With(ntx, l.PriceUNTX))
			g.add(l.Provider, chain.Coins(l.Lovelace).With(ntx, l.BondUNTX))
			return l.State == Open && d.has(l.Provider) && d.at(d.body.Until) <= t.DeclineBy
		}},
		{"close", func(l Lot, t Terms, _ due) bool { return len(lots) == 1 && d.has(l.Provider) && d.has(t.Requester) }},
		{"redeem", func(l Lot, t Terms, g due) bool {
			earned, ok := d.vouched(l, t)
			g.add(t.Requester, chain.Value{}.With(ntx, l.PriceUNTX-min(earned, l.PriceUNTX)))
			g.add(l.Provider, chain.Coins(l.Lovelace).With(ntx, l.BondUNTX+earned))
			return ok && l.State <= Committed && d.has(l.Provider)
		}},
		{"verdict", func(l Lot, t Terms, g due) bool {
			a, err := DecodeAction(d.action, d.Network)
			if err != nil || a.Kind != KindVerdict || l.State != Disputed || len(lots) != 1 || d.at(d.body.Until) > l.Deadline {
				return false
			}
			signed := 0
			for i, k := range t.Disputes.Attesters.List() {
				if i < len(a.Signatures) && k.verifies(d.verdictMessage(l, a.AwardUNTX, a.SlashUNTX, a.TakenUNTX), a.Signatures[i]) {
					signed++
				}
			}
			return signed >= int(t.Disputes.Threshold) && d.loses(l, t, a.AwardUNTX, a.SlashUNTX, g) && d.taken(l, t, a, staked, g)
		}},
		{"concede", func(l Lot, t Terms, g due) bool {
			return l.State == Disputed && len(lots) == 1 && d.has(t.Requester) && d.loses(l, t, l.PriceUNTX, 0, g)
		}},
		{"lapse", func(l Lot, t Terms, g due) bool {
			share := PenaltyOf(l.PriceUNTX, t.Disputes.ShareBps)
			g.add(t.Requester, chain.Coins(l.Lovelace-l.Own).With(ntx, l.PriceUNTX-share+l.DisputeBondUNTX-t.Disputes.CostUNTX))
			g.add(l.Provider, chain.Coins(l.Own).With(ntx, share+l.BondUNTX+t.Disputes.CostUNTX))
			return l.State == Disputed && len(lots) == 1 && d.at(d.body.From) >= l.Deadline
		}},
	} {
		g, allowed := due{}, way.name == "verdict" || len(staked) == 0
		for _, l := range lots {
			t, known := d.terms[l.Job]
			allowed = allowed && known && way.due(l, t, g)
		}
		if !allowed {
			continue
		}
		err := d.pays(g)
		if err == nil {
			return nil
		}
		why = append(why, fmt.Errorf("%s: %w", way.name, err))
	}
	if why == nil {
		return harm("nobody who signed may end these lots now")
	}
	return errors.Join(why...)
}

// loses adds what a decided dispute pays: an award of the price to the provider, the cost by whoever is not awarded all,
// and what is slashed of the provider's bond. false: no such decision is possible.
func (d *deal) loses(l Lot, t Terms, award, slash uint64, g due) bool {
	cost, won := t.Disputes.CostUNTX, award == l.PriceUNTX
	if award > l.PriceUNTX || won && slash > 0 || slash > PenaltyOf(l.PriceUNTX, t.Disputes.SlashBps) {
		return false
	}
	back, kept := l.PriceUNTX-award+l.DisputeBondUNTX, award+l.BondUNTX-slash
	if won {
		back -= cost
	} else {
		kept -= cost
	}
	g.add(t.Requester, chain.Coins(l.Lovelace-l.Own).With(ntx, back))
	g.add(l.Provider, chain.Coins(l.Own).With(ntx, kept))
	g.add(chain.Enterprise(d.Network, t.Disputes.Payee), chain.Value{}.With(ntx, cost))
	g.add(chain.ScriptAddress(d.Network, d.Params.Sink), chain.Value{}.With(ntx, slash))
	return true
}

// vouched is the most that a signed voucher in the redeemer says a lot's provider has earned.
func (d *deal) vouched(l Lot, t Terms) (most uint64, ok bool) {
	a, err := DecodeAction(d.action, d.Network)
	if err != nil || a.Kind != KindRedeem {
		return 0, false
	}
	k, _ := l.Provider.Key()
	for _, e := range a.Earned {
		v := Voucher{Job: l.Job, Provider: k, CumulativeUNTX: e.CumulativeUNTX, Signature: e.Signature}
		if v.Verify(d.Contracts, l, t) == nil {
			most, ok = max(most, e.CumulativeUNTX), true
		}
	}
	return most, ok
}

// pays: whoever has not signed the whole transaction gets what is due, where nothing binds it.
func (d *deal) pays(g due) error {
	for a, v := range g {
		if d.has(a) {
			continue
		}
		got := chain.Value{}
		for _, u := range d.body.Outputs {
			if u.Address == a && u.Datum == nil && u.Script == nil {
				sum, err := got.Add(u.Value)
				if err != nil {
					return err
				}
				got = sum
			}
		}
		if !got.Covers(v) {
			return harm("%s gets %v and is due %v", a, got, v)
		}
	}
	return nil
}

// has says whether the payment key of an address has signed.
func (d *deal) has(a chain.Address) bool {
	k, ok := a.Key()
	return ok && slices.Contains(d.signed, k)
}

// ledgerTakes holds a transaction against the ledger's rules, with everybody's signature that it asks for.
func (w *world) ledgerTakes(tx *chain.Tx, from chain.Slot) error {
	for _, k := range tx.Needed() {
		i := slices.IndexFunc(w.everyone(), func(a chaintest.Actor) bool { return a.Hash == k })
		if i < 0 {
			return fmt.Errorf("nobody has key %s", k)
		}
		if err := w.everyone()[i].Sign(tx); err != nil {
			return err
		}
	}
	return chain.Check(tx, tx.Resolved(), w.ledger, w.clock, w.Network, from)
}
