package plutus

import (
	"fmt"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestCapacity: how many lots fit one transaction of 16,384 bytes, by reference. Bytes always run out first.
func TestCapacity(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	refs := w.publish(t)
	for i := range 200 {
		w.addresses = append(w.addresses, chaintest.NewActor(fmt.Sprint("many", i)).Address)
	}
	in := func(from chain.Slot) Frame { return Frame{From: from, Until: from + 900, References: refs} }
	lots := func(n int) (ls []Lot) {
		for i := range n {
			l := w.lot(t, byte(i), 0, Open)
			l.Provider = w.addresses[3+i]
			o, err := w.output(l)
			if err != nil {
				t.Fatal(err)
			}
			l.UTxO.Output = o
			ls = append(ls, l)
		}
		return ls
	}
	var earned []Earned
	for i := range 35 {
		terms := w.contested
		terms.Disputes, terms.Rest[31] = Disputes{}, byte(i)
		l := w.lotOf(t, byte(i+1), 0, Open, terms)
		earned = append(earned, Earned{l, terms, w.voucher(l.Job, price/2)})
	}
	for _, c := range []struct {
		name  string
		n     int
		payer chaintest.Actor
		draft chain.Draft
	}{
		{"claim, of as many jobs", 183, w.providers[0], must(w.Claim(w.claims(t, 183), in(9500)))(t)},
		{"approve", 115, w.requester, must(w.Approve(lots(115), w.terms, in(2000)))(t)},
		{"redeem, of as many jobs", 35, w.providers[0], must(w.Redeem(earned, in(2000)))(t)},
		{"refund", 113, w.stranger, must(w.Refund(lots(113), w.terms, in(9000)))(t)},
	} {
		u, size, fee := w.used(t, c.draft, c.payer)
		t.Logf("%s: %d lots, %d bytes, %d mem, %d lovelace, %d a lot", c.name, c.n, size, u.Mem, fee, int(fee)/c.n)
		if size > 16384 || int(fee)/c.n > 15_000 && c.n > 100 {
			t.Errorf("%s: %d bytes, %d lovelace a lot", c.name, size, int(fee)/c.n)
		}
	}
}
