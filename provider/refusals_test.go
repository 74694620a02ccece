package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/executor/executortest"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// refusal wants err to be a refusal that can be sent, with that code and those words in it.
func refusal(t *testing.T, err error, code, words string) {
	t.Helper()
	var r market.Refusal
	switch {
	case !errors.As(err, &r):
		t.Errorf("not refused: %v", err)
	case r.Code != code || !strings.Contains(r.Sentence, words):
		t.Errorf("refused as %q: %s", r.Code, r.Sentence)
	case r.Validate() != nil:
		t.Errorf("the refusal cannot be sent: %v", r.Validate())
	}
}

func TestQuoteRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		change      func(*market.QuoteRequest)
		code, words string
	}{
		"another's request":  {func(q *market.QuoteRequest) { q.Requester = stranger() }, market.RefusedOther, "you are not"},
		"other network":      {func(q *market.QuoteRequest) { q.Magic = 2 }, market.RefusedContracts, "network"},
		"other contracts":    {func(q *market.QuoteRequest) { q.Contracts[0]++ }, market.RefusedContracts, "contracts"},
		"image missing":      {func(q *market.QuoteRequest) { q.Image = image[:70] + "7" }, market.RefusedImage, "not here"},
		"too large":          {func(q *market.QuoteRequest) { q.Resources.MemoryMiB = 1 << 20 }, market.RefusedResources, "do not fit"},
		"too many shards":    {func(q *market.QuoteRequest) { q.Shards = 1000 }, market.RefusedResources, "do not fit"},
		"no disk":            {func(q *market.QuoteRequest) { q.Resources.DiskMiB = 0 }, market.RefusedResources, "disk"},
		"a future offer":     {func(q *market.QuoteRequest) { q.OfferSequence++ }, market.RefusedStale, "offer"},
		"no time to decline": {func(q *market.QuoteRequest) { q.Timeouts.Start = market.Second }, market.RefusedOther, "timeouts.start"},
		"no time to commit":  {func(q *market.QuoteRequest) { q.Timeouts.Collect = market.Second }, market.RefusedOther, "timeouts.collect"},
		"review too long":    {func(q *market.QuoteRequest) { q.Review = 29 * market.Day }, market.RefusedContracts, "review"},
		"two ranks here":     {func(q *market.QuoteRequest) { q.Kind, q.Shards = market.Training, 2 }, market.RefusedResources, "collective"},
		"no room for the arena": {
			func(q *market.QuoteRequest) { q.Kind, q.Resources.MemoryMiB = market.Training, 64 }, market.RefusedResources, "collective",
		},
		"no coin for the bond": {
			func(q *market.QuoteRequest) { q.Timeouts.Run = 10 * market.Hour }, market.RefusedFunds, "no free coin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := w.request(market.General)
			c.change(&req)
			_, err := w.d.Quote(t.Context(), w.req.id, req)
			refusal(t, err, c.code, c.words)
		})
	}
	w.empty()
}

// TestQuotes: a quote holds capacity and a coin until it is released, used or expired, and nobody holds them all.
func TestQuotes(t *testing.T) {
	w := newWorld(t)
	first := w.request(market.General)
	a := w.quoted(first)
	if again := w.quoted(first); again.quote.Reservation != a.quote.Reservation {
		t.Error("the same request got another reservation")
	}
	b := w.quoted(w.request(market.General))
	if a.quote.BondInput == b.quote.BondInput {
		t.Error("one coin for two bonds")
	}
	_, err := w.d.Quote(t.Context(), w.req.id, w.request(market.General))
	refusal(t, err, market.RefusedBusy, "other jobs")
	refusal(t, w.d.Release(t.Context(), stranger(), a.quote.Reservation), market.RefusedUnknown, "")
	w.must(w.d.Release(t.Context(), w.req.id, a.quote.Reservation))
	c := w.quoted(w.request(market.General))
	w.restart()
	_, err = w.d.Quote(t.Context(), w.req.id, w.request(market.General))
	refusal(t, err, market.RefusedBusy, "")
	late := c.drawUp().build().balance()
	w.until(c.quote.Expires+2000, 20)
	w.eventually("nothing held", func() bool { live, err := w.d.store.live(t.Context()); return err == nil && len(live) == 0 })
	_, err = late.propose()
	refusal(t, err, market.RefusedUnknown, "")
	w.eventually("no coin held", func() bool { kept, err := w.prov.kept.All(t.Context()); return err == nil && len(kept) == 0 })

	w.stop()
	w.cfg.MaxQuotes = 1
	w.start()
	w.quoted(w.request(market.General))
	_, err = w.d.Quote(t.Context(), w.req.id, w.request(market.General))
	refusal(t, err, market.RefusedBusy, "you hold 1 quotes")
}

// TestWitnessRefused: an opening that fails any line of the checklist gets no signature, and leaves nothing behind.
func TestWitnessRefused(t *testing.T) {
	own := func(w *world, n uint32) chain.UTxO { return w.output(w.prov.Coin(n, chain.Value{}).Ref) }
	for name, c := range map[string]struct {
		terms       func(*market.Terms)
		draft       func(*deal)
		lie         func(*deal)
		code, words string
	}{
		"price below the quoted": {terms: func(t *market.Terms) { t.Lots[0].PriceUNTX-- }, code: market.RefusedTerms, words: "price"},
		"other contracts":        {terms: func(t *market.Terms) { t.Spend[0]++ }, code: market.RefusedTerms, words: "contracts"},
		"another policy":         {terms: func(t *market.Terms) { t.Policy[0]++ }, code: market.RefusedTerms, words: "contracts"},
		"a smaller bond":         {terms: func(t *market.Terms) { t.BondBps--; t.PenaltyBps-- }, code: market.RefusedTerms, words: "rate"},
		"more resources":         {terms: func(t *market.Terms) { t.Task.Resources.MemoryMiB++ }, code: market.RefusedTerms, words: "resources"},
		"another image":          {terms: func(t *market.Terms) { t.Task.Image = image[:70] + "7" }, code: market.RefusedTerms, words: "image"},
		"a longer run":           {terms: func(t *market.Terms) { t.Timeouts.Run += market.Second; t.CommitBy += 1000 }, code: market.RefusedTerms, words: "timeouts"},
		"paid elsewhere": {
			terms: func(t *market.Terms) { t.Lots[0].Payment = t.RequesterAddress }, code: market.RefusedTerms, words: "payment",
			draft: func(d *deal) { d.drawUp().build() },
		},
		"no time to decline": {terms: func(t *market.Terms) { t.DeclineBy = t.LockUntil + 1 }, code: market.RefusedTerms, words: "decline by"},
		"no time to commit": {
			terms: func(t *market.Terms) { t.DeclineBy = t.CommitBy - 1 }, code: market.RefusedTerms, words: "commit by",
		},
		"more lovelace in the lot": {terms: func(t *market.Terms) { t.LotLovelace++ }, code: market.RefusedTerms, words: "lovelace"},
		"more environment than a container takes": {
			terms: func(t *market.Terms) {
				t.Task.Envs = map[string]string{}
				for i := range 40 {
					t.Task.Envs[fmt.Sprint("V", i)] = strings.Repeat("x", 4096)
				}
			}, code: market.RefusedTerms, words: "cannot be run",
		},
		"a collective of a general job": {
			terms: func(t *market.Terms) { t.Task.Collective, t.Ring = true, []uint32{0} }, code: market.RefusedTerms, words: "collective",
		},
		"valid longer than the quote": {
			terms: func(t *market.Terms) { move(t, 200_000) }, code: market.RefusedStale, words: "the quote ends",
		},
		"body valid too long": {draft: func(d *deal) { d.draft.Until++ }, code: market.RefusedTx, words: "range"},
		"a second input of the provider": {draft: func(d *deal) {
			d.draft.Inputs = append(d.draft.Inputs, chain.Input{UTxO: own(d.world, 2)})
		}, code: market.RefusedTx, words: "is mine and not the bond input"},
		"a second input, passed off as another's": {draft: func(d *deal) {
			u := own(d.world, 2)
			d.draft.Inputs = append(d.draft.Inputs, chain.Input{UTxO: u})
			u.Address = d.req.Address
			d.said = []chain.UTxO{u}
		}, code: market.RefusedTx, words: "is mine and not the bond input"},
		"its input as collateral": {draft: func(d *deal) { d.coll = []chain.UTxO{own(d.world, 9)} }, code: market.RefusedTx, words: "is mine"},
		"another lot": {draft: func(d *deal) {
			a := chaintest.NewActor("requester")
			part := plutus.Part{Provider: a.Address, PriceUNTX: 1000, BondInput: d.output(a.Coin(1, chain.Value{}).Ref), BondChange: a.Address}
			mine := plutus.Part{Provider: d.quote.Payment, PriceUNTX: d.quote.PriceUNTX - 1, BondInput: d.output(d.quote.BondInput), BondChange: d.quote.Change}
			dr, err := d.contracts.Open(d.packed, []plutus.Part{part, mine}, d.output(d.terms.Seed), plutus.Frame{From: d.draft.From, Until: d.draft.Until})
			d.must(err)
			d.draft = dr
		}, code: market.RefusedTx, words: "lot value"},
		"the change to another": {draft: func(d *deal) {
			d.draft.Outputs = slices.Clone(d.draft.Outputs)
			d.draft.Outputs[1].Address = d.req.Address
		}, code: market.RefusedTx, words: "change"},
		"terms that are not in the body": {lie: func(d *deal) { d.terms.Task.Command = "mine coins" }, code: market.RefusedTx, words: ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.quoted(w.request(market.General)).drawUp()
			if c.terms != nil && c.draft == nil {
				c.terms(&d.terms)
			}
			d.build()
			if c.draft != nil {
				c.draft(d)
			}
			d.balance()
			if c.terms != nil && c.draft != nil {
				c.terms(&d.terms)
			}
			if c.lie != nil {
				c.lie(d)
			}
			_, err := d.propose()
			refusal(t, err, c.code, c.words)
			if _, ok, err := w.d.store.job(t.Context(), d.job()); ok || err != nil {
				t.Errorf("a job was stored: %v", err)
			}
			w.must(w.d.Release(t.Context(), w.req.id, d.quote.Reservation))
			w.empty()
		})
	}
}

// move moves all deadlines.
func move(t *market.Terms, by chain.Time) {
	t.LockUntil, t.DeclineBy, t.CommitBy = t.LockUntil+by, t.DeclineBy+by, t.CommitBy+by
}

// TestOneWitness: what was signed once is signed again, byte for byte, and nothing else is for that reservation; nor can
// it be released, by anyone.
func TestOneWitness(t *testing.T) {
	w := newWorld(t)
	d := w.quoted(w.request(market.General)).drawUp().build().balance()
	_, err := w.d.Witness(t.Context(), stranger(), d.proposal())
	refusal(t, err, market.RefusedUnknown, "")
	first, err := d.propose()
	w.must(err)
	w.must(w.d.Release(t.Context(), w.req.id, d.quote.Reservation))
	again, err := d.propose()
	if err != nil || !slices.Equal(first.Signature, again.Signature) {
		t.Errorf("the same proposal got another answer: %v", err)
	}
	other := *d
	other.terms.Nonce[5]++
	other.build().balance()
	_, err = other.propose()
	refusal(t, err, market.RefusedTx, "another opening was signed")
	w.restart()
	_, err = other.propose()
	refusal(t, err, market.RefusedTx, "another opening was signed")
	w.must(d.tx.AddWitness(first.VKey, first.Signature))
	w.must(w.req.Sign(d.tx))
	d.submit()
	if again, err = d.propose(); err != nil || !slices.Equal(first.Signature, again.Signature) {
		t.Errorf("the same proposal got another answer once it is on chain: %v", err)
	}
	d.result()
}

// TestPendingChange: an output that an opening under way will give us is ours already, whatever the requester says.
func TestPendingChange(t *testing.T) {
	w := newWorld(t)
	a := w.witnessed(market.General)
	body, err := a.tx.Inspect()
	w.must(err)
	i := slices.IndexFunc(body.Outputs, func(u chain.UTxO) bool { return u.Address == w.prov.Address })
	b := w.quoted(w.request(market.General)).drawUp().build()
	u := body.Outputs[i]
	b.draft.Inputs = append(b.draft.Inputs, chain.Input{UTxO: u})
	u.Address = w.req.Address
	b.said = []chain.UTxO{u}
	b.balance()
	_, err = b.propose()
	refusal(t, err, market.RefusedTx, "is not in the chain")
}

// TestBondSpent: a bond that went elsewhere meanwhile is not signed for.
func TestBondSpent(t *testing.T) {
	w := newWorld(t)
	d := w.quoted(w.request(market.General)).drawUp().build().balance()
	u := w.output(d.quote.BondInput)
	tx, err := chain.Balance(chain.Draft{Inputs: []chain.Input{{UTxO: u}}, From: w.ledger.Slot(), Until: w.ledger.Slot() + 100}, nil,
		w.prov.Address, nil, w.ledger.Params(), w.ledger.Clock(), w.contracts.Network)
	w.must(err)
	w.must(w.prov.Sign(tx))
	w.must(w.ledger.Submit(tx.Bytes()))
	w.block(1)
	_, err = d.propose()
	refusal(t, err, market.RefusedFunds, "is spent")
}

// TestImageGone: an image that left the engine after the start is not sold any more.
func TestImageGone(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.engine = executortest.NewEngine(nil, nil)
	w.start()
	_, err := w.d.Quote(t.Context(), w.req.id, w.request(market.General))
	refusal(t, err, market.RefusedImage, "not here")
}

func TestText(t *testing.T) {
	for _, s := range []string{"", "a\tb\x00\n\x1b[31m", strings.Repeat("é", market.MaxMessage), strings.Repeat("\xff", 5000)} {
		if got := safe(s); len(got) > market.MaxMessage || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\t") {
			t.Errorf("%.40q became %.40q of %d bytes", s, got, len(got))
		}
		refusal(t, refuse(market.RefusedOther, "%s", s), market.RefusedOther, "")
	}
}

// TestOpeningOfThief: an output that the provider is about to get, from a transaction that only the requester has, is not
// signed away with an opening.
func TestOpeningOfThief(t *testing.T) {
	w := newWorld(t)
	owed := chain.Draft{Outputs: []chain.Output{{Address: w.prov.Address, Value: chain.Coins(5_000_000).With(ntx, 1_000_000)}}, Until: w.ledger.Slot() + 60}
	payment, err := w.req.purse.Pay(t.Context(), owed, "owed")
	w.must(err)
	d := w.quoted(w.request(market.General)).drawUp().build()
	u := chain.UTxO{Ref: chain.OutRef{Tx: payment.ID()}, Output: owed.Outputs[0]}
	u.Address = w.req.Address // as the thief says
	d.draft.Inputs = append(d.draft.Inputs, chain.Input{UTxO: u})
	d.balance()
	v, err := d.propose()
	if err == nil {
		w.must(d.tx.AddWitness(v.VKey, v.Signature))
		w.must(d.req.Sign(d.tx))
		w.must(w.ledger.Submit(payment.Bytes()))
		_, err = w.ledger.Forge(1)
		w.must(err)
		t.Fatalf("signed, and the ledger says: %v", w.ledger.Submit(d.tx.Bytes()))
	}
	if !strings.Contains(err.Error(), "not in the chain") {
		t.Error(err)
	}
}
