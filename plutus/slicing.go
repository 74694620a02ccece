package plutus

import (
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Start puts a job into slices instead of lots: every provider's bond and the requester's prices, as in Open. The draft's
// outputs are the slices, all but the last full, then every provider's change.
func (c *Contracts) Start(t Terms, parts []Part, seed chain.UTxO, f Frame) (chain.Draft, error) {
	return c.start(t, parts, seed, MaxShares, f)
}

// start is Start with slices of size shares, but for the last.
func (c *Contracts) start(t Terms, parts []Part, seed chain.UTxO, size int, f Frame) (chain.Draft, error) {
	d, err := c.Open(t, parts, seed, f) // with the same inputs and changes
	if err != nil {
		return chain.Draft{}, err
	}
	var shares []Share
	for _, o := range d.Outputs[:len(parts)] {
		l, err := c.ReadLot(chain.UTxO{Output: o}, t)
		if err != nil {
			return chain.Draft{}, err
		}
		if l.PriceUNTX+l.BondUNTX >= maxShareUNTX {
			return chain.Draft{}, fmt.Errorf("start: price %d: %w", l.PriceUNTX, ErrDraft)
		}
		shares = append(shares, Share{Provider: l.Provider, PriceUNTX: l.PriceUNTX, BondUNTX: l.BondUNTX})
	}
	id, err := t.JobID()
	if err != nil {
		return chain.Draft{}, err
	}
	changes := d.Outputs[len(parts):]
	m := Move{Kind: KindStart, Terms: t}
	d.Outputs, d.Mint = nil, nil
	mint := map[chain.AssetID]int64{}
	for chunk := range slices.Chunk(shares, size) {
		s := Slice{Job: id, Shares: chunk, Lovelace: t.LotLovelace * chain.Lovelace(len(chunk))}
		o, err := c.sliceOutput(s)
		if err != nil {
			return chain.Draft{}, err
		}
		d.Outputs = append(d.Outputs, o)
		m.Lists = append(m.Lists, list(chunk))
		mint[c.Slices.Token(id, len(chunk))]++
	}
	d.Outputs = append(d.Outputs, changes...)
	d.References, d.Scripts = nil, nil
	return c.move(d, f, m, mint)
}

// Settle pays slices in full, of the jobs with these terms. The draft needs the signature of each job's requester.
func (c *Contracts) Settle(of []Slice, jobs []Terms, f Frame) (chain.Draft, error) {
	of = slices.SortedFunc(slices.Values(of), func(a, b Slice) int { return a.Ref.Compare(b.Ref) })
	known := map[JobID]Terms{}
	for _, t := range jobs {
		id, err := t.JobID()
		if err != nil {
			return chain.Draft{}, err
		}
		known[id] = t
	}
	d, err := c.sliceDraft(KindSettle, of, f)
	if err != nil {
		return chain.Draft{}, err
	}
	m, mint := Move{Kind: KindSettle}, map[chain.AssetID]int64{}
	for i, s := range of {
		t, ok := known[s.Job]
		if !ok {
			return chain.Draft{}, fmt.Errorf("settle: slice %s is of job %s: %w", s.Ref, s.Job, ErrDraft)
		}
		if i == 0 || s.Job != of[i-1].Job {
			m.Jobs = append(m.Jobs, t)
			d = signedBy(d, t.Requester)
		}
		mint[c.Slices.Token(s.Job, len(s.Shares))]--
		for _, x := range s.Shares {
			d.Outputs = append(d.Outputs, c.payout(x.Provider, t.LotLovelace, x.PriceUNTX+x.BondUNTX))
		}
	}
	return c.move(d, f, m, mint)
}

// Leave takes shares out of a slice, each into a lot: committed with a root, to be claimed from claimAt on, see ClaimAt,
// or open without. The draft's outputs are the lots in order of the shares, then the slice if any are left. It needs the
// signatures of all who leave.
func (c *Contracts) Leave(s Slice, t Terms, leavers []Leaver, claimAt chain.Time, f Frame) (chain.Draft, error) {
	d, err := c.oneSlice(KindLeave, t, s, f)
	if err != nil {
		return chain.Draft{}, err
	}
	if len(leavers) == 0 {
		return chain.Draft{}, fmt.Errorf("leave: nobody: %w", ErrDraft)
	}
	leavers = slices.SortedFunc(slices.Values(leavers), func(a, b Leaver) int { return a.Index - b.Index })
	rest, lots := s, map[chain.AssetID]int64{}
	rest.Shares = slices.Clone(s.Shares)
	for i, l := range slices.Backward(leavers) {
		if l.Index < 0 || l.Index >= len(s.Shares) || i > 0 && leavers[i-1].Index == l.Index {
			return chain.Draft{}, fmt.Errorf("leave: share %d of %d: %w", l.Index, len(s.Shares), ErrDraft)
		}
		rest.Shares = slices.Delete(rest.Shares, l.Index, l.Index+1)
		rest.Lovelace -= t.LotLovelace
	}
	for _, l := range leavers {
		lot := s.Shares[l.Index].lot(t, s.Job)
		if l.Root != ([32]byte{}) {
			lot.State, lot.Root, lot.ClaimAt = Committed, l.Root, claimAt
		}
		o, err := c.output(lot)
		if err != nil {
			return chain.Draft{}, err
		}
		d.Outputs = append(d.Outputs, o)
		lots[c.Token(s.Job, lot.State)]++
		d = signedBy(d, lot.Provider)
	}
	mint := map[chain.AssetID]int64{c.Slices.Token(s.Job, len(s.Shares)): -1}
	if len(rest.Shares) > 0 {
		o, err := c.sliceOutput(rest)
		if err != nil {
			return chain.Draft{}, err
		}
		d.Outputs = append(d.Outputs, o)
		mint[c.Slices.Token(s.Job, len(rest.Shares))] = 1
	}
	if d, err = c.born(d, f, lots); err != nil {
		return chain.Draft{}, err
	}
	return c.move(d, f, Move{Kind: KindLeave, Terms: t, Lists: [][]byte{list(s.Shares)}, Leavers: leavers}, mint)
}

// Finish ends a slice by the requester's will: some shares, by index, become open lots, all others are paid in full. The
// draft's outputs are in order of the shares. It needs the requester's signature.
func (c *Contracts) Finish(s Slice, t Terms, lots []int, f Frame) (chain.Draft, error) {
	d, err := c.oneSlice(KindFinish, t, s, f)
	if err != nil {
		return chain.Draft{}, err
	}
	made := map[chain.AssetID]int64{}
	for i, x := range s.Shares {
		if !slices.Contains(lots, i) {
			d.Outputs = append(d.Outputs, c.payout(x.Provider, t.LotLovelace, x.PriceUNTX+x.BondUNTX))
			continue
		}
		o, err := c.output(x.lot(t, s.Job))
		if err != nil {
			return chain.Draft{}, err
		}
		d.Outputs = append(d.Outputs, o)
		made[c.Token(s.Job, Open)]++
	}
	if len(made) == 0 {
		return chain.Draft{}, fmt.Errorf("finish: no lots, which is to settle: %w", ErrDraft)
	}
	if d, err = c.born(signedBy(d, t.Requester), f, made); err != nil {
		return chain.Draft{}, err
	}
	return c.move(d, f, Move{Kind: KindFinish, Terms: t, Lists: [][]byte{list(s.Shares)}}, c.sliceBurn(s))
}

// Dissolve ends a slice by anyone, from commit_by on: price and penalty of each share go back to the requester, the rest
// to each provider. The submitter gives the requester's output its least lovelace.
func (c *Contracts) Dissolve(s Slice, t Terms, f Frame) (chain.Draft, error) {
	d, err := c.oneSlice(KindDissolve, t, s, f)
	if err != nil {
		return chain.Draft{}, err
	}
	var back uint64
	d.Outputs = make([]chain.Output, 1, len(s.Shares)+1)
	for _, x := range s.Shares {
		penalty := PenaltyOf(x.PriceUNTX, t.PenaltyBps)
		back += x.PriceUNTX + penalty
		d.Outputs = append(d.Outputs, c.payout(x.Provider, t.LotLovelace, x.BondUNTX-penalty))
	}
	d.Outputs[0] = c.payout(t.Requester, 0, back)
	return c.move(d, f, Move{Kind: KindDissolve, Terms: t, Lists: [][]byte{list(s.Shares)}}, c.sliceBurn(s))
}

// lot is the open lot that a share becomes.
func (x Share) lot(t Terms, id JobID) Lot {
	return Lot{Job: id, Provider: x.Provider, PriceUNTX: x.PriceUNTX, BondUNTX: x.BondUNTX, Lovelace: t.LotLovelace}
}

func (c *Contracts) sliceBurn(s Slice) map[chain.AssetID]int64 {
	return map[chain.AssetID]int64{c.Slices.Token(s.Job, len(s.Shares)): -1}
}

// oneSlice starts a transition of one slice of the job with these terms.
func (c *Contracts) oneSlice(k Kind, t Terms, s Slice, f Frame) (chain.Draft, error) {
	id, err := t.JobID()
	if err != nil {
		return chain.Draft{}, err
	}
	if s.Job != id {
		return chain.Draft{}, fmt.Errorf("%s: slice %s is of job %s, the terms are of %s: %w", k, s.Ref, s.Job, id, ErrDraft)
	}
	return c.sliceDraft(k, []Slice{s}, f)
}

// sliceDraft starts a transition that spends slices.
func (c *Contracts) sliceDraft(k Kind, of []Slice, f Frame) (chain.Draft, error) {
	if len(of) == 0 || f.From >= f.Until {
		return chain.Draft{}, fmt.Errorf("%s: %d slices, valid from slot %d until %d: %w", k, len(of), f.From, f.Until, ErrDraft)
	}
	d := chain.Draft{From: f.From, Until: f.Until}
	c.use(&d, f.References, c.Slices.StubScript)
	spend, err := lotRedeemer()
	if err != nil {
		return chain.Draft{}, err
	}
	for i, s := range of {
		if i > 0 && of[i-1].Ref == s.Ref {
			return chain.Draft{}, fmt.Errorf("%s: slice %s twice: %w", k, s.Ref, ErrDraft)
		}
		d.Inputs = append(d.Inputs, chain.Input{UTxO: s.UTxO, Redeemer: spend})
	}
	return d, nil
}

// move makes the slices' policy run.
func (c *Contracts) move(d chain.Draft, f Frame, m Move, mint map[chain.AssetID]int64) (chain.Draft, error) {
	redeemer, err := m.Encode()
	if err != nil {
		return chain.Draft{}, fmt.Errorf("%s: %w", m.Kind, err)
	}
	c.use(&d, f.References, c.Slices.PolicyScript)
	return minting(d, c.Slices.Policy, redeemer, mint), nil
}

// born makes the lots' policy run beside it.
func (c *Contracts) born(d chain.Draft, f Frame, lots map[chain.AssetID]int64) (chain.Draft, error) {
	redeemer, err := Action{Kind: KindBorn}.Encode()
	if err != nil {
		return chain.Draft{}, err
	}
	c.use(&d, f.References, c.PolicyScript)
	return minting(d, c.Policy, redeemer, lots), nil
}

// minting adds a policy's part of the mint.
func minting(d chain.Draft, policy chain.ScriptHash, redeemer []byte, of map[chain.AssetID]int64) chain.Draft {
	m := chain.Mint{Policy: policy, Assets: map[string]int64{}, Redeemer: redeemer}
	for id, q := range of {
		m.Assets[id.Name] = q
	}
	d.Mint = append(d.Mint, m)
	return d
}
