package provider

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// deal is a job on its way, from the requester's side. What a test changes before the next step is what a hostile
// requester would.
type deal struct {
	*world
	ask    market.QuoteRequest
	quote  market.Quote
	terms  market.Terms
	packed plutus.Terms
	draft  chain.Draft
	coll   []chain.UTxO // collateral, if not the requester's own
	said   []chain.UTxO // about inputs, beside the truth
	tx     *chain.Tx
	key    escrow.Key
}

func (w *world) request(kind market.Kind) market.QuoteRequest {
	w.nonce++
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return market.QuoteRequest{
		Version: 1, Magic: w.contracts.Network.Magic, Contracts: w.contracts.Policy, Nonce: [16]byte{w.nonce}, Requester: w.req.id,
		RequesterAddress: w.req.Address, OfferSequence: w.d.offerSeq, Name: "test", Kind: kind, Image: image,
		Resources: market.Resources{MilliCPU: 1000, MemoryMiB: 512, DiskMiB: 256}, Shards: 1,
		Timeouts: market.Timeouts{Match: market.Minute, Start: 2 * market.Minute, Run: 100 * market.Second, Collect: 5 * market.Minute},
		Review:   5 * market.Minute,
	}
}

// quoted is a deal as far as the quote.
func (w *world) quoted(req market.QuoteRequest) *deal {
	w.Helper()
	b, err := w.d.Quote(w.Context(), w.req.id, req)
	w.must(err)
	q, err := market.ReadQuote(b)
	w.must(err)
	return &deal{world: w, ask: req, quote: q}
}

// drawUp writes terms as an honest requester does.
func (d *deal) drawUp() *deal {
	d.Helper()
	w := d.world
	all, err := w.req.book.Coins(w.Context())
	w.must(err)
	free, _, err := w.req.kept.Coins(w.Context(), all)
	w.must(err)
	seed := free[slices.IndexFunc(free, func(u chain.UTxO) bool { return u.Value.Of(ntx) > 0 })]
	lot, err := w.contracts.LotLovelace(w.ledger.Params())
	w.must(err)
	t := market.Terms{
		Version: market.TermsVersion, Magic: d.ask.Magic, Policy: w.contracts.Policy, Spend: w.contracts.Stub, Nonce: d.ask.Nonce,
		Name: d.ask.Name, Kind: d.ask.Kind, Requester: d.ask.Requester, RequesterAddress: d.ask.RequesterAddress, Seed: seed.Ref,
		Task: market.Task{
			Image: d.ask.Image, Command: "run", Mounts: []string{"/job", "/data"}, ShardInput: "/data", Shards: d.ask.Shards,
			Collective: d.ask.Kind == market.Training, Resources: d.ask.Resources,
		},
		Program: w.files.add(map[string]string{"job/main.py": "print()"}), Timeouts: d.ask.Timeouts, Review: d.ask.Review,
		LockUntil: w.ledger.Now() + 60_000, BondBps: d.quote.BondBps, PenaltyBps: d.quote.PenaltyBps, LotLovelace: lot,
	}
	t.DeclineBy, t.CommitBy = market.Deadlines(t.LockUntil, t.Timeouts, 20*market.Second)
	l := market.LotTerms{
		Provider: d.quote.Provider, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Payment: d.quote.Payment, PriceUNTX: d.quote.PriceUNTX,
		BondInput: d.quote.BondInput,
	}
	for i := range d.ask.Shards {
		l.Shards = append(l.Shards, market.ShardTerms{Index: i, Input: w.files.add(map[string]string{"data/part": string('a' + rune(i))})})
	}
	t.Lots = []market.LotTerms{l}
	if t.Task.Collective {
		t.Ring = []uint32{0}
	}
	d.terms = t
	return d
}

// build drafts the opening of the terms.
func (d *deal) build() *deal {
	d.Helper()
	w := d.world
	var err error
	d.packed, err = escrow.PackTerms(d.terms)
	w.must(err)
	id, err := d.packed.JobID()
	w.must(err)
	d.key = escrow.Key{Job: id, Provider: w.prov.Hash}
	until, err := w.ledger.Clock().TimeToSlot(d.terms.LockUntil)
	w.must(err)
	d.draft, err = w.contracts.Open(d.packed, d.parts(), w.output(d.terms.Seed), plutus.Frame{From: w.ledger.Slot(), Until: until})
	w.must(err)
	return d
}

// parts are the lots' parts in an opening.
func (d *deal) parts() (parts []plutus.Part) {
	for _, l := range d.terms.Lots {
		u := d.output(l.BondInput)
		parts = append(parts, plutus.Part{Provider: l.Payment, PriceUNTX: l.PriceUNTX, BondInput: u, BondChange: u.Address})
	}
	return parts
}

func (w *world) output(ref chain.OutRef) chain.UTxO {
	w.Helper()
	all := w.ledger.UTxOs()
	i := slices.IndexFunc(all, func(u chain.UTxO) bool { return u.Ref == ref })
	if i < 0 {
		w.Fatalf("no output %s", ref)
	}
	return all[i]
}

// balance makes the transaction of the draft, signed by nobody.
func (d *deal) balance() *deal {
	d.Helper()
	w := d.world
	all, err := w.req.book.Coins(w.Context())
	w.must(err)
	free, coll, err := w.req.kept.Coins(w.Context(), all)
	w.must(err)
	if d.coll != nil {
		coll = d.coll
	}
	free = slices.DeleteFunc(free, func(u chain.UTxO) bool {
		return slices.ContainsFunc(d.draft.Inputs, func(i chain.Input) bool { return i.Ref == u.Ref })
	})
	d.tx, err = chain.Balance(d.draft, free, w.req.Address, coll, w.ledger.Params(), w.ledger.Clock(), w.contracts.Network)
	w.must(err)
	return d
}

func (d *deal) proposal() market.TermsProposal {
	d.Helper()
	terms, err := d.terms.Encode()
	d.must(err)
	said := d.tx.Resolved()
	for i, u := range said {
		if k := slices.IndexFunc(d.said, func(s chain.UTxO) bool { return s.Ref == u.Ref }); k >= 0 {
			said[i] = d.said[k]
		}
	}
	return market.TermsProposal{Reservation: d.quote.Reservation, Terms: terms, Tx: d.tx.Bytes(), Inputs: market.ResolvedOf(said)}
}

func (d *deal) propose() (market.Witness, error) {
	d.Helper()
	return d.d.Witness(d.Context(), d.req.id, d.proposal())
}

// witnessed is a deal that the provider witnessed, not submitted.
func (w *world) witnessed(kind market.Kind) *deal {
	w.Helper()
	d := w.quoted(w.request(kind)).drawUp().build().balance()
	d.witness()
	return d
}

func (d *deal) witness() {
	d.Helper()
	v, err := d.propose()
	d.must(err)
	d.must(d.tx.AddWitness(v.VKey, v.Signature))
	d.must(d.req.Sign(d.tx))
}

// submit brings the opening into a block.
func (d *deal) submit() *deal {
	d.Helper()
	d.must(d.ledger.Submit(d.tx.Bytes()))
	d.block(1)
	if s := d.lot().Status; s != escrow.Open {
		d.Fatalf("the lot is %s", s)
	}
	return d
}

func (w *world) opened(kind market.Kind) *deal {
	w.Helper()
	return w.witnessed(kind).submit()
}

func (d *deal) lot() escrow.Lot {
	d.Helper()
	l, err := d.prov.book.Lot(d.Context(), d.key)
	d.must(err)
	return l
}

func (d *deal) job() market.JobID { return market.JobID(d.key.Job) }

func (d *deal) record() record {
	d.Helper()
	r, ok, err := d.d.store.job(d.Context(), d.job())
	d.must(err)
	if !ok {
		d.Fatalf("no job %s", d.job())
	}
	return r
}

// result waits for the signed result.
func (d *deal) result() market.Result {
	d.Helper()
	d.eventually("a result", func() bool { return d.record().Result != nil })
	b, err := d.d.Result(d.Context(), d.req.id, d.job())
	d.must(err)
	r, err := market.OpenResult(b, d.job(), d.terms, d.prov.id)
	d.must(err)
	return r
}

func (d *deal) status() market.JobStatus {
	d.Helper()
	s, err := d.d.Status(d.Context(), d.req.id, d.job())
	d.must(err)
	_, err = market.Encode(s)
	d.must(err)
	return s
}

// over waits until the job is closed, and wants nothing of it to be left.
func (d *deal) over(p market.Phase) {
	d.Helper()
	d.eventually("the job's end", func() bool { return d.record().Done })
	if got := d.record().Phase; got != p {
		d.Errorf("the job ended as %s, not %s", got, p)
	}
	d.empty()
}

// empty wants no reservation, container or directory to be left.
func (w *world) empty() {
	w.Helper()
	live, err := w.d.store.live(w.Context())
	w.must(err)
	kept, err := w.prov.kept.All(w.Context())
	w.must(err)
	for _, k := range kept {
		if len(k.Purpose) == 32 { // a reservation's id
			w.Errorf("coin %s is still kept for %s", k.Ref, k.Purpose)
		}
	}
	left, err := w.engine.Runtime().List(w.Context(), w.prov.id.String())
	w.must(err)
	if len(live) > 0 || len(left) > 0 {
		w.Errorf("left: %d reservations, %d containers", len(live), len(left))
	}
	if dirs := w.jobDirs(); len(dirs) > 0 {
		w.Errorf("left: %v", dirs)
	}
}

func (w *world) jobDirs() (names []string) {
	all, err := os.ReadDir(filepath.Join(w.dir, "jobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// stranger is another peer's id.
func stranger() peer.ID { return peer.ID("stranger") }
