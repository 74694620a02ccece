package escrow_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// TestFoldIsTheChain: whatever the parties do and whatever a rollback undoes, the state folded from blocks is what the
// ledger holds, and so it is from the events as they are stored.
func TestFoldIsTheChain(t *testing.T) {
	seen := map[escrow.Status]bool{}
	for seed := range uint64(8) {
		w := newSlices(t, 3)
		r := rand.New(rand.NewPCG(seed, 4))
		var jobs []*opened
		for range 60 {
			switch r.IntN(6) {
			case 0:
				if len(jobs) < 5 {
					open := w.open
					w.sliced = len(jobs) == 2 || len(jobs) == 4
					if len(jobs)%2 == 1 {
						open = w.contest
					}
					jobs = append(jobs, open(w.providers...))
				}
			case 1:
				if n := len(w.ledger.Events(0)); n > 3 && w.ledger.Tip().Slot > 10 {
					if err := w.ledger.Rollback(1); err == nil {
						w.block(1)
					}
				}
			default:
				w.block(chain.Slot(1 + r.IntN(60)))
			}
			for _, o := range jobs {
				p := w.providers[r.IntN(3)]
				switch r.IntN(12) {
				case 0:
					o.knows(p, p, escrow.Facts{InputsReady: true, Result: &root, ResultAt: w.ledger.Now()})
				case 1:
					o.knows(w.requester, p, escrow.Facts{Verified: true})
				case 2, 3:
					o.knows(w.requester, p, escrow.Facts{Faulty: true})
				case 4:
					if o.lot(p).Status == escrow.Disputed {
						o.knows(w.requester, p, escrow.Facts{Concede: r.IntN(2) == 0})
					}
				case 5:
					if o.terms.VoucherKey != (plutus.PublicKey{}) {
						v := o.contracts.SignVoucher(signer(9), o.id, p.Hash, uint64(r.IntN(price)))
						o.knows(p, p, escrow.Facts{InputsReady: true, Voucher: &v})
					}
				}
				for _, p := range w.providers {
					o.check(p)
					seen[o.lot(p).Status] = true
				}
			}
		}
	}
	for _, s := range []escrow.Status{
		escrow.Open, escrow.Committed, escrow.Disputed, escrow.Approved, escrow.Claimed, escrow.Refunded, escrow.Declined, escrow.Redeemed,
		escrow.Conceded, escrow.Lapsed, escrow.Sliced,
	} {
		if !seen[s] {
			t.Errorf("no lot was ever %s", s)
		}
	}
}

// check holds the fold of a lot against the ledger's outputs.
func (o *opened) check(p *party) {
	o.Helper()
	l := o.lot(p)
	var stored []escrow.Event
	for _, e := range p.book.Events(o.key(p)) {
		b, err := escrow.EncodeEvent(e)
		o.must(err)
		back, err := escrow.DecodeEvent(b)
		o.must(err)
		again, err := escrow.EncodeEvent(back)
		o.must(err)
		if !bytes.Equal(b, again) || !reflect.DeepEqual(back.Terms, e.Terms) || back.Ref != e.Ref || back.Root != e.Root {
			o.Fatalf("%+v is read back as %+v", e, back)
		}
		stored = append(stored, back)
	}
	if again, err := escrow.Fold(o.key(p), stored); err != nil || !reflect.DeepEqual(again, l) {
		o.Fatalf("the stored events give %+v, the book %+v: %v", again, l, err)
	}
	want := l.PriceUNTX + l.BondUNTX
	if l.Status == escrow.Disputed {
		want += disputeBond
	}
	if l.Status == escrow.Sliced {
		o.checkShare(p, l)
		return
	}
	held, found := chain.UTxO{}, false
	for _, u := range o.ledger.UTxOs(o.contracts.Address) {
		if lot, err := o.contracts.ReadLot(u, o.terms); err == nil && lot.Job == o.id && lot.Provider == p.Address {
			held, found = u, true
		}
	}
	switch {
	case l.Status == escrow.Absent || l.Status.Final():
		if found {
			o.Fatalf("the lot is %s, and the ledger holds %s", l.Status, held.Ref)
		}
	case !found || held.Ref != l.Ref:
		o.Fatalf("the lot is %s at %s, the ledger holds %v at %s", l.Status, l.Ref, found, held.Ref)
	case held.Value.Of(ntx) != want || l.PriceUNTX != price || l.BondUNTX != bond || l.Status != escrow.Disputed && held.Value.Coin != l.Lovelace:
		o.Fatalf("the lot is of %d and %d, the ledger holds %v", l.PriceUNTX, l.BondUNTX, held.Value)
	}
}

// checkShare holds a lot in a slice against the ledger's output.
func (o *opened) checkShare(p *party, l escrow.Lot) {
	o.Helper()
	all, err := p.book.JobLots(o.Context(), o.id)
	o.must(err)
	for _, u := range o.ledger.UTxOs(o.contracts.Slices.Address) {
		if u.Ref != l.Ref {
			continue
		}
		s, err := escrow.SliceOf(o.contracts, all, u)
		o.must(err)
		if want := (plutus.Share{Provider: p.Address, PriceUNTX: price, BondUNTX: bond}); len(s.Shares) != l.Place.Of || s.Shares[l.Place.Index] != want {
			o.Fatalf("the lot is at %+v of %+v", l.Place, s.Shares)
		}
		return
	}
	o.Fatalf("the lot is in slice %s, which the ledger does not hold", l.Ref)
}

// TestNotMine: a lot that names a provider who never signed its opening is in the book, and is not its own.
func TestNotMine(t *testing.T) {
	w := newWorld(t, 2)
	o := w.open(w.providers[0])
	l := o.lot(w.providers[0])
	if !l.Mine(w.providers[0].Hash) || !l.Mine(w.requester.Hash) {
		t.Error("the lot is not of those who paid for it")
	}
	if l.Mine(w.providers[1].Hash) {
		t.Error("the lot is a stranger's")
	}
	own, err := w.providers[1].book.Lots(t.Context())
	if err != nil || len(own) > 0 {
		t.Errorf("%d lots of its own: %v", len(own), err)
	}
}

func redeem(tx *chain.BlockTx, w *world, b []byte) {
	tx.MintRedeemers = map[chain.ScriptHash][]byte{w.contracts.Policy: b}
}

// TestStrangeTransactions: no transaction of a stranger's stops whoever reads the blocks.
func TestStrangeTransactions(t *testing.T) {
	w := newWorld(t, 1)
	o := w.open(w.providers[0])
	block := *w.ledger.Events(0)[0].Block
	open := block.Txs[0]
	before, err := escrow.Scan(w.contracts, block, nil)
	if err != nil || len(before) != 1 || before[0].Key != o.key(w.providers[0]) {
		t.Fatalf("%+v, %v", before, err)
	}
	for name, strange := range map[string]func(*chain.BlockTx){
		"no redeemer":      func(tx *chain.BlockTx) { tx.MintRedeemers = nil },
		"not data":         func(tx *chain.BlockTx) { redeem(tx, w, []byte{0xff}) },
		"no terms":         func(tx *chain.BlockTx) { redeem(tx, w, []byte{0xd8, 0x79, 0x80}) },
		"unknown action":   func(tx *chain.BlockTx) { redeem(tx, w, []byte{0xd9, 0x05, 0x00, 0x80}) },
		"lots gone astray": func(tx *chain.BlockTx) { redeem(tx, w, []byte{0xd8, 0x7b, 0x80}) },
		"invalid":          func(tx *chain.BlockTx) { tx.Invalid = true },
	} {
		tx := open
		strange(&tx)
		b := block
		b.Txs = []chain.BlockTx{tx}
		if found, err := escrow.Scan(w.contracts, b, nil); err != nil || len(found) > 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// TestWastefulEncoding: the ledger takes any encoding of a redeemer or a datum, however long, and so must whoever reads
// its blocks.
func TestWastefulEncoding(t *testing.T) {
	w := newWorld(t, 1)
	w.open(w.providers[0])
	block := *w.ledger.Events(0)[0].Block
	tx := block.Txs[0]
	redeem(&tx, w, wasteful(t, tx.MintRedeemers[w.contracts.Policy]))
	tx.Outputs = append([]chain.UTxO{}, tx.Outputs...)
	for i, u := range tx.Outputs {
		if u.Datum != nil {
			tx.Outputs[i].Datum = wasteful(t, u.Datum)
		}
	}
	want, err := escrow.Scan(w.contracts, block, nil)
	w.must(err)
	block.Txs = []chain.BlockTx{tx}
	if got, err := escrow.Scan(w.contracts, block, nil); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v instead of %+v: %v", got, want, err)
	}
}

// wasteful writes the first byte string of Plutus Data in a thousand empty chunks beside its own.
func wasteful(t *testing.T, b []byte) []byte {
	t.Helper()
	for i, c := range b {
		switch {
		case c == 0x58 && i+2 < len(b): // one of up to 255 bytes
			n := int(b[i+1]) + 2
			return join(b[:i], []byte{0x5f}, bytes.Repeat([]byte{0x40}, 2000), b[i:i+n], []byte{0xff}, b[i+n:])
		case c == 0x5f: // in chunks already
			return join(b[:i+1], bytes.Repeat([]byte{0x40}, 2000), b[i+1:])
		}
	}
	t.Fatalf("no byte string in %x", b)
	return nil
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
