package provider

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"sync/atomic"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// A provider works for vouchers: it takes only what the contracts pay, stops when they no longer come, goes on with
// nothing after a restart, and redeems the last one before commit_by.
func TestVouchers(t *testing.T) {
	w := newWorld(t)
	var starts atomic.Int32
	w.program = func(ctx context.Context, _ executor.Task, _ probe.Process) int {
		starts.Add(1)
		<-ctx.Done()
		return 137
	}
	before := w.prov.ntx(w)
	req := w.request(market.General)
	req.VoucherEvery = market.Second
	d := w.quoted(req).drawUp()
	key, other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	d.terms.VoucherEvery, d.terms.VoucherKey = market.Second, market.Key(plutus.KeyOf(key))
	d.build().balance()
	d.witness()
	d.submit()
	w.eventually("the program runs", func() bool { return starts.Load() == 1 && d.status().Phase == market.PhaseRunning })
	voucher := func(k ed25519.PrivateKey, untx uint64) market.Voucher {
		v := w.contracts.SignVoucher(k, d.key.Job, w.prov.Hash, untx)
		return market.Voucher{Job: market.JobID(d.key.Job), CumulativeUNTX: untx, Signature: v.Signature[:]}
	}
	unit := d.terms.EarnedUNTX(d.quote.PriceUNTX, market.Second)
	refusal(t, w.d.Voucher(t.Context(), stranger(), voucher(key, unit)), market.RefusedUnknown, "")
	refusal(t, w.d.Voucher(t.Context(), w.req.id, voucher(other, unit)), market.RefusedOther, "not signed with the job's voucher key")
	refusal(t, w.d.Voucher(t.Context(), w.req.id, voucher(key, d.quote.PriceUNTX+1)), market.RefusedOther, "the price is")
	w.must(w.d.Voucher(t.Context(), w.req.id, voucher(key, unit)))
	w.must(w.d.Voucher(t.Context(), w.req.id, voucher(key, unit-1))) // an older one takes nothing away
	w.eventually("the program is stopped", func() bool { return d.record().Unpaid })
	w.eventually("it says why", func() bool { return d.status().Message == errUnpaid.Error() })
	w.restart()
	w.block(5)
	if d.record().Result != nil || starts.Load() != 1 {
		t.Errorf("a result, or %d starts", starts.Load())
	}
	w.until(d.terms.CommitBy-chain.Time(policy.CommitLead)+20_000, 5)
	if l := d.lot(); l.Status != escrow.Redeemed || l.ToProviderUNTX != l.BondUNTX+unit {
		t.Fatalf("%+v", l)
	}
	if got := w.prov.ntx(w); got != before+unit {
		t.Errorf("%d µNTX after %d, earned %d", got, before, unit)
	}
	d.over(market.PhaseFailed)
}

// Who never gets a voucher commits the receipt of the failure: its bond is not the price of somebody else's silence.
func TestNoVoucherEver(t *testing.T) {
	w := newWorld(t)
	w.program = func(ctx context.Context, _ executor.Task, _ probe.Process) int { <-ctx.Done(); return 137 }
	req := w.request(market.General)
	req.VoucherEvery = market.Second
	d := w.quoted(req).drawUp()
	d.terms.VoucherEvery, d.terms.VoucherKey = market.Second, market.Key(plutus.KeyOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))))
	d.build().balance()
	d.witness()
	d.submit()
	if r := d.result(); r.OK() || r.Shards[0].Message != errUnpaid.Error() {
		t.Errorf("%+v", r)
	}
}
