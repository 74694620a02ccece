package provider

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// errUnpaid is a program that was stopped because the vouchers that were promised for it did not come.
var errUnpaid = errors.New("the vouchers that were promised did not come")

// unpaidUnits is how much work is done on credit: the unit under way, and what a voucher may take to arrive.
const unpaidUnits = 3

// Voucher takes what a requester says that its job has earned so far, if the contracts would pay it out of the lot.
func (d *Daemon) Voucher(ctx context.Context, from peer.ID, v market.Voucher) error {
	if _, _, err := d.owned(ctx, from, v.Job); err != nil {
		return err
	}
	d.mu.Lock()
	j := d.jobs[v.Job]
	d.mu.Unlock()
	switch {
	case j == nil:
		return refuse(market.RefusedUnknown, "the job is over")
	case j.terms.Policy != d.Contracts.Policy:
		return refuse(market.RefusedContracts, "the job is of contracts that this provider no longer works for")
	}
	l, err := j.lock(ctx)
	if err != nil {
		return err
	}
	own := plutus.Voucher{Job: j.key.Job, Provider: d.key, CumulativeUNTX: v.CumulativeUNTX, Signature: plutus.Signature(v.Signature)}
	if err := own.Verify(d.Contracts, l.OnChain(), l.Terms); err != nil {
		return refuse(market.RefusedOther, "%v", err)
	}
	return d.store.addVoucher(ctx, own)
}

// addVoucher keeps a voucher that is worth more than the one before.
func (s *store) addVoucher(ctx context.Context, v plutus.Voucher) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO voucher VALUES (?,?,?) ON CONFLICT (job) DO UPDATE
		SET cumulative = excluded.cumulative, signature = excluded.signature WHERE excluded.cumulative > cumulative`,
		v.Job[:], int64(v.CumulativeUNTX), v.Signature[:])
	return wrap("voucher", err)
}

// voucher is the best one of a job; nil: there is none.
func (s *store) voucher(ctx context.Context, id market.JobID) (*plutus.Voucher, error) {
	v := plutus.Voucher{Job: plutus.JobID(id)}
	var cumulative int64
	var signature []byte
	err := s.db.QueryRowContext(ctx, `SELECT cumulative, signature FROM voucher WHERE job = ?`, id[:]).Scan(&cumulative, &signature)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	v.CumulativeUNTX = uint64(cumulative)
	copy(v.Signature[:], signature)
	return &v, wrap("voucher", err)
}

// stopUnpaid records that a job's programs were stopped for want of vouchers: they are not started again.
func (s *store) stopUnpaid(ctx context.Context, id market.JobID) error {
	_, err := s.db.ExecContext(ctx, `INSERT OR IGNORE INTO unpaid VALUES (?)`, id[:])
	return wrap("unpaid", err)
}

// waitPaid waits for a container's end as long as vouchers come, and stops it when more work is unpaid than is done on
// credit: then the error is errUnpaid.
func (s *shard) waitPaid(ctx context.Context, h executor.Handle) (executor.Status, error) {
	every := s.j.terms.VoucherEvery
	if every == 0 || s.j.terms.Policy != s.j.d.Contracts.Policy { // none are due, or none are taken any more
		return s.wait(ctx, h)
	}
	waiting, done := context.WithCancel(ctx)
	unpaid := make(chan error, 1)
	go func() { unpaid <- s.watchPay(waiting, h, every) }()
	st, err := s.wait(ctx, h)
	done()
	if late := <-unpaid; late != nil && err == nil {
		return st, late
	}
	return st, err
}

// watchPay stops the container once it works on credit for too long, and is errUnpaid then; nil: it was not needed.
func (s *shard) watchPay(ctx context.Context, h executor.Handle, every market.Millis) error {
	for sleep(ctx, max(every.Duration()/4, 100*time.Millisecond)) == nil {
		st, err := s.j.d.Engine.Status(ctx, h)
		if err != nil || st.State != executor.StateRunning {
			continue
		}
		v, err := s.j.d.store.voucher(ctx, s.j.id)
		if err != nil {
			continue
		}
		worked := market.Millis(time.Since(st.Started).Milliseconds()) - unpaidUnits*every
		paid := uint64(0)
		if v != nil {
			paid = v.CumulativeUNTX
		}
		if s.j.terms.EarnedUNTX(s.j.lot.PriceUNTX, worked) <= paid {
			continue
		}
		s.j.d.Log.Warn("provider: stopping a program whose vouchers do not come", "job", s.j.id, "shard", s.index, "paid_untx", paid)
		if err := s.j.d.store.stopUnpaid(ctx, s.j.id); err != nil {
			continue
		}
		if err := s.j.d.Engine.Stop(ctx, h, time.Second); err == nil {
			return errUnpaid
		}
	}
	return nil
}
