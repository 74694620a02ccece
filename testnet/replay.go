package testnet

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// ErrReplay is a chain that does not do what the contracts promise: a defect, or a block of another network.
var ErrReplay = errors.New("chain replay")

// Derived is what blocks alone say about jobs and balances.
type Derived struct {
	Jobs     map[plutus.JobID]*DerivedJob
	Balances map[chain.Slot]map[chain.Address]Sum    // after the last block up to the slot, for each slot asked for
	Stakes   map[chain.Slot]map[chain.KeyHash]uint64 // then, those that count, by their owners
	Tip      chain.Slot
}

// Sum is what an address holds.
type Sum struct {
	Lovelace chain.Lovelace
	UNTX     uint64
}

// DerivedJob is what happened to the lots of one opening.
type DerivedJob struct {
	Terms plutus.Terms
	Fees  chain.Lovelace          // of every transaction that moved one of its lots
	Costs map[chain.Address]int64 // lovelace each party is short of by those transactions, what lies in lots not counted
	Lots  map[chain.Address]*DerivedLot
}

// DerivedLot is what happened to one provider's lot.
type DerivedLot struct {
	Lot          plutus.Lot // as it was opened
	End          plutus.Kind
	ToProvider   uint64
	ToRequester  uint64
	Open, Settle chain.TxID
	Commit       *chain.TxID
	OpenedAt     chain.Slot
	SettledAt    chain.Slot
}

// Paid is what the provider earned: the price, or nothing.
func (l *DerivedLot) Paid() uint64 {
	if o := outcomes[l.End]; o == "approved" || o == "claimed" {
		return l.Lot.PriceUNTX
	}
	return 0
}

// Refunded is what of the price went back to the requester.
func (l *DerivedLot) Refunded() uint64 { return min(l.ToRequester, l.Lot.PriceUNTX) }

// Penalty is what of the bond went to the requester.
func (l *DerivedLot) Penalty() uint64 { return l.ToRequester - l.Refunded() }

// BondReturned is what of the bond went back to the provider.
func (l *DerivedLot) BondReturned() uint64 { return l.ToProvider - l.Paid() }

// Replay folds blocks from a chain's origin, with no help from anybody's index: a set of unspent outputs, the lots
// among them, and who gave and got what by each transaction that moved a lot. It holds every payment that was really
// made against what the contracts say it should have been.
func Replay(blocks []chain.Block, c *plutus.Contracts, slots ...chain.Slot) (*Derived, error) {
	r := &replay{
		c: c, utxos: map[chain.OutRef]chain.UTxO{}, lots: map[spot]*DerivedLot{},
		out: &Derived{
			Jobs: map[plutus.JobID]*DerivedJob{}, Balances: map[chain.Slot]map[chain.Address]Sum{}, Stakes: map[chain.Slot]map[chain.KeyHash]uint64{},
		},
	}
	slots = slices.Clone(slots)
	slices.Sort(slots)
	for _, b := range blocks {
		for len(slots) > 0 && b.Slot > slots[0] {
			r.balances(slots[0])
			slots = slots[1:]
		}
		for _, tx := range b.Txs {
			if err := r.apply(tx, b.Slot); err != nil {
				return nil, fmt.Errorf("block %d, slot %d: transaction %s: %w", b.Height, b.Slot, tx.ID, err)
			}
		}
		r.out.Tip = b.Slot
	}
	for _, s := range slots {
		if s > r.out.Tip {
			return nil, fmt.Errorf("%w: the chain ends at slot %d, before slot %d", ErrReplay, r.out.Tip, s)
		}
		r.balances(s)
	}
	return r.out, nil
}

// ReplayJobs is Replay with the balances around every job as well: in the slot before it opened, and in the one that
// settled the last of it.
func ReplayJobs(blocks []chain.Block, c *plutus.Contracts, slots ...chain.Slot) (*Derived, error) {
	d, err := Replay(blocks, c)
	if err != nil {
		return nil, err
	}
	for j := range maps.Values(d.Jobs) {
		from, to := j.Span()
		slots = append(slots, from-1, to)
	}
	return Replay(blocks, c, slices.Compact(slices.Sorted(slices.Values(slots)))...)
}

type replay struct {
	c     *plutus.Contracts
	utxos map[chain.OutRef]chain.UTxO
	lots  map[spot]*DerivedLot // alive
	now   map[chain.OutRef]plutus.Lot
	out   *Derived
}

// spot is where a provider's lot is: in an output of its own, or in a slice with others.
type spot struct {
	in       chain.OutRef
	provider chain.Address
}

func (r *replay) balances(at chain.Slot) {
	sums := map[chain.Address]Sum{}
	stakes := map[chain.KeyHash][]plutus.Stake{}
	for _, u := range r.utxos {
		if s, err := r.c.ReadStake(u); err == nil {
			stakes[s.Owner] = append(stakes[s.Owner], s)
		}
		s := sums[u.Address]
		s.Lovelace += u.Value.Coin
		s.UNTX += u.Value.Of(r.c.Params.NTX)
		sums[u.Address] = s
	}
	r.out.Balances[at] = sums
	r.out.Stakes[at] = map[chain.KeyHash]uint64{}
	for owner, all := range stakes {
		r.out.Stakes[at][owner] = plutus.Counted(all, market.LeastStakeUNTX)
	}
}

// delta is what an address is richer by.
type delta struct{ lovelace, untx int64 }

func (r *replay) apply(tx chain.BlockTx, slot chain.Slot) error {
	events, err := r.c.Observe(tx, func(ref chain.OutRef) (plutus.Lot, bool) { l, ok := r.now[ref]; return l, ok })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReplay, err)
	}
	sliced, err := r.c.ObserveSlices(tx, func(ref chain.OutRef) (chain.UTxO, bool) { u, ok := r.utxos[ref]; return u, ok })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReplay, err)
	}
	events = append(events, sliced...)
	moved := map[chain.Address]delta{}
	change := func(u chain.UTxO, sign int64) {
		d := moved[u.Address]
		d.lovelace += sign * int64(u.Value.Coin)
		d.untx += sign * int64(u.Value.Of(r.c.Params.NTX))
		moved[u.Address] = d
	}
	for _, ref := range tx.Inputs {
		if u, ok := r.utxos[ref]; ok { // outputs of the genesis are made by no block
			change(u, -1)
		}
		delete(r.utxos, ref)
	}
	for _, u := range tx.Outputs {
		change(u, 1)
		r.utxos[u.Ref] = u
	}
	if len(events) == 0 {
		return nil
	}
	return r.events(tx, slot, events, moved)
}

// events enters what a transaction did to lots, and checks that everybody got what the contracts say.
func (r *replay) events(tx chain.BlockTx, slot chain.Slot, events []plutus.Event, moved map[chain.Address]delta) error {
	due := map[chain.Address]int64{} // NTX each party should be richer by
	lot := map[chain.Address]int64{} // lovelace that its lots gained by
	jobs := map[plutus.JobID]*DerivedJob{}
	for _, e := range events {
		l, err := r.event(tx, slot, e)
		if err != nil {
			return err
		}
		j := r.out.Jobs[e.Lot.Job]
		jobs[e.Lot.Job] = j
		provider, requester := l.Lot.Provider, j.Terms.Requester
		switch {
		case e.Spent == (chain.OutRef{}):
			due[requester] -= int64(e.Lot.PriceUNTX)
			due[provider] -= int64(e.Lot.BondUNTX)
			lot[provider] += int64(e.Lot.Lovelace)
		case e.Lot.Ref != e.Spent: // it goes on
			lot[provider] += int64(e.Lot.Lovelace) - int64(l.Lot.Lovelace)
		default:
			due[provider] += int64(e.ToProviderUNTX)
			due[requester] += int64(e.ToRequesterUNTX)
			lot[provider] -= int64(e.Lot.Lovelace)
		}
	}
	for a, d := range moved {
		if !r.ours(a) && d.untx != due[a] {
			return fmt.Errorf("%w: %s is richer by %d µNTX, by the contracts it should be %d", ErrReplay, a, d.untx, due[a])
		}
	}
	for a := range due {
		if _, ok := moved[a]; !ok && due[a] != 0 {
			return fmt.Errorf("%w: %s gets nothing, by the contracts it should get %d µNTX", ErrReplay, a, due[a])
		}
	}
	// One transaction may settle lots of several jobs: its fee is then one of each.
	for _, j := range jobs {
		j.Fees += tx.Fee
		for a, d := range moved {
			if !r.ours(a) {
				j.Costs[a] -= d.lovelace + lot[a]
			}
		}
	}
	return nil
}

// ours says whether an address is where lots or slices are.
func (r *replay) ours(a chain.Address) bool { return a == r.c.Address || a == r.c.Slices.Address }

func (r *replay) event(tx chain.BlockTx, slot chain.Slot, e plutus.Event) (*DerivedLot, error) {
	if e.Spent == (chain.OutRef{}) {
		j := r.out.Jobs[e.Lot.Job]
		if j == nil {
			j = &DerivedJob{Terms: e.Terms, Costs: map[chain.Address]int64{}, Lots: map[chain.Address]*DerivedLot{}}
			r.out.Jobs[e.Lot.Job] = j
		}
		if j.Lots[e.Lot.Provider] != nil {
			return nil, fmt.Errorf("%w: two lots of job %s pay %s", ErrReplay, e.Lot.Job, e.Lot.Provider)
		}
		l := &DerivedLot{Lot: e.Lot, Open: tx.ID, OpenedAt: slot}
		j.Lots[e.Lot.Provider] = l
		r.hold(e, l)
		return l, nil
	}
	l := r.lots[spot{e.Spent, e.Lot.Provider}]
	if l == nil {
		return nil, fmt.Errorf("%w: %s of an unknown lot", ErrReplay, e.Kind)
	}
	delete(r.lots, spot{e.Spent, e.Lot.Provider})
	delete(r.now, e.Spent)
	if e.Lot.Ref != e.Spent {
		if id := tx.ID; l.Commit == nil && e.Lot.State == plutus.Committed {
			l.Commit = &id
		}
		r.hold(e, l)
		return l, nil
	}
	l.End, l.ToProvider, l.ToRequester, l.Settle, l.SettledAt = e.Kind, e.ToProviderUNTX, e.ToRequesterUNTX, tx.ID, slot
	return l, nil
}

func (r *replay) hold(e plutus.Event, l *DerivedLot) {
	if r.now == nil {
		r.now = map[chain.OutRef]plutus.Lot{}
	}
	if r.lots[spot{e.Lot.Ref, e.Lot.Provider}] = l; e.Place.Of == 0 {
		r.now[e.Lot.Ref] = e.Lot
	}
}

// Settled says whether every lot of the job has ended.
func (j *DerivedJob) Settled() bool {
	for l := range maps.Values(j.Lots) {
		if l.End == "" {
			return false
		}
	}
	return true
}

// Price is what all lots cost together.
func (j *DerivedJob) Price() (untx uint64) {
	for l := range maps.Values(j.Lots) {
		untx += l.Lot.PriceUNTX
	}
	return untx
}

// outcomes by the transition that ended a lot.
var outcomes = map[plutus.Kind]string{
	plutus.KindApprove: "approved", plutus.KindClaim: "claimed", plutus.KindRefund: "refunded", plutus.KindDecline: "declined",
	plutus.KindSettle: "approved", plutus.KindFinish: "approved", plutus.KindDissolve: "refunded",
}

// Outcome is how the lots ended: all in one way, or mixed. What was declined counts as refunded.
func (j *DerivedJob) Outcome() string {
	found := ""
	for l := range maps.Values(j.Lots) {
		o := l.Outcome()
		if o == "declined" {
			o = "refunded"
		}
		switch {
		case found == "":
			found = o
		case found != o:
			return "mixed"
		}
	}
	return found
}

// Outcome is how the lot ended; "open" if it has not.
func (l *DerivedLot) Outcome() string {
	if o, ok := outcomes[l.End]; ok {
		return o
	}
	return "open"
}

// Span is from the slot that opened the job's lots to the one that settled the last of them.
func (j *DerivedJob) Span() (from, to chain.Slot) {
	for l := range maps.Values(j.Lots) {
		from = l.OpenedAt
		to = max(to, l.SettledAt)
	}
	return from, to
}
