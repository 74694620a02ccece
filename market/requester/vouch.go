package requester

import (
	"context"
	"time"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// vouch sends a provider whose programs run a voucher over what they have earned, if that is more than was sent before;
// it says what has been sent then. A provider cannot say that they began before it had heard of the lock.
func (f *follower) vouch(ctx context.Context, l lotRecord, st market.JobStatus, sent uint64) uint64 {
	if f.terms.VoucherEvery == 0 || f.terms.Policy != f.r.Contracts.Policy { // none were promised, or of older contracts
		return sent
	}
	now, worked := time.Now().UnixMilli(), market.Millis(0)
	for i, s := range st.Shards {
		if s.Started == 0 || s.Finished != 0 {
			return sent
		}
		if since := market.Millis(now - max(int64(s.Started), f.rec.At[Sent])); i == 0 || since < worked {
			worked = since
		}
	}
	due := f.terms.EarnedUNTX(l.PriceUNTX, worked)
	if due <= sent {
		return sent
	}
	key, err := f.r.voucherKey(f.terms.Nonce)
	if err != nil {
		f.r.Log.Error("requester: no voucher key", "id", f.rec.ID, "error", err)
		return sent
	}
	k := f.key(l)
	v := f.r.Contracts.SignVoucher(key, plutus.JobID(f.rec.Job), k.Provider, due)
	if err := f.r.Workers.Voucher(ctx, l.Offer.Peer, market.Voucher{Job: f.rec.Job, CumulativeUNTX: due, Signature: v.Signature[:]}); err != nil {
		f.r.Log.Warn("requester: a provider did not take a voucher", "id", f.rec.ID, "provider", l.Offer.Peer, "error", err)
		return sent
	}
	return due
}
