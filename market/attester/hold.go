package attester

import (
	"context"
	"os"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// holding is a bundle that this attester hands on to a party of a lot: outputs, to a requester whose provider may keep
// them from it.
type holding struct {
	lot   escrow.Key
	root  market.Hash
	party peer.ID
	until chain.Time // and as long as the lot has not ended
}

// hold records that a bundle is kept, and lets its party have it.
func (d *Daemon) hold(ctx context.Context, h holding) error {
	_, err := d.store.db.ExecContext(ctx, `INSERT OR REPLACE INTO held VALUES (?,?,?,?)`,
		h.lot.String(), h.root[:], h.party.String(), int64(h.until))
	if err != nil {
		return wrap("hold", err)
	}
	d.Files.Grant(h.root, h.party)
	return nil
}

// resume clears what an earlier process was running, and hands on what it held.
func (d *Daemon) resume(ctx context.Context) error {
	if err := os.RemoveAll(d.Dir); err != nil {
		return err
	}
	all, err := d.store.holdings(ctx)
	for _, h := range all {
		d.Files.Grant(h.root, h.party)
	}
	return err
}

// tidy removes now and then what is not needed any more.
func (d *Daemon) tidy(ctx context.Context) {
	for {
		if err := d.prune(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("attester: cannot remove what is not needed any more", "error", err)
		}
		if sleep(ctx, d.Tidy) != nil {
			return
		}
	}
}

// prune removes all bundles but those held for lots that are not over; not while a lot is looked at, which fetches some.
func (d *Daemon) prune(ctx context.Context) error {
	if !d.bundles.TryLock() {
		return nil
	}
	defer d.bundles.Unlock()
	now, err := d.now(ctx)
	if err != nil {
		return err
	}
	all, err := d.store.holdings(ctx)
	if err != nil {
		return err
	}
	keep := map[market.Hash]bool{}
	for _, h := range all {
		l, err := d.Book.Lot(ctx, h.lot)
		switch {
		case err != nil:
			return err
		case !l.Status.Final() || now < h.until:
			keep[h.root] = true
			continue
		}
		if _, err := d.store.db.ExecContext(ctx, `DELETE FROM held WHERE lot = ? AND root = ?`, h.lot.String(), h.root[:]); err != nil {
			return wrap("let go", err)
		}
	}
	return d.Files.Prune(ctx, func(root market.Hash) bool { return keep[root] })
}

// holdings are all bundles that are held.
func (s *store) holdings(ctx context.Context) (all []holding, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT lot, root, party, until FROM held`)
	if err != nil {
		return nil, wrap("holdings", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var h holding
		var lot, party string
		var root []byte
		var until int64
		if err := rows.Scan(&lot, &root, &party, &until); err != nil {
			return nil, wrap("holdings", err)
		}
		copy(h.root[:], root)
		h.until = chain.Time(until)
		if h.lot, err = escrow.ParseKey(lot); err == nil {
			h.party, err = peer.Decode(party)
		}
		if err != nil {
			return nil, wrap("holdings", err)
		}
		all = append(all, h)
	}
	return all, wrap("holdings", rows.Err())
}
