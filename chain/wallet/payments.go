package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Payment is a transaction of this wallet that is signed. It is in the store before a node can get it, so that whoever
// was to make it and was killed can be asked again and goes on, and nothing is paid twice.
type Payment struct {
	Tx    chain.TxID
	Raw   []byte // with its signatures
	Order string // what was to be done, in words: the same order is the same payment
	Owner string // the process that sees to it, as it names itself
	Ended bool   // whoever ordered it knows how it ended

	// Where the chain was when it was built, on outputs that were unspent there: no block up to here has it.
	Since  chain.Point
	Height uint64

	Until chain.Time // when it can no longer enter the chain
}

const paymentsTable = `CREATE TABLE IF NOT EXISTS payments
	(tx TEXT PRIMARY KEY, raw BLOB NOT NULL, job TEXT NOT NULL, owner TEXT NOT NULL, ended INTEGER NOT NULL,
	slot INTEGER NOT NULL, hash TEXT NOT NULL, height INTEGER NOT NULL, until INTEGER NOT NULL) STRICT`

// insertPayment may meet the same transaction, which was refused, ended and made anew within a slot.
const insertPayment = `INSERT INTO payments (tx, raw, job, owner, ended, slot, hash, height, until) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)
	ON CONFLICT (tx) DO UPDATE SET raw = excluded.raw, job = excluded.job, owner = excluded.owner, ended = 0, slot = excluded.slot,
	hash = excluded.hash, height = excluded.height, until = excluded.until WHERE ended`

// Pay stores a signed payment and keeps what it spends for it, for a purpose, until it has expired: both or neither. From
// here on it may be handed in. ErrReserved: something of that was given to another purpose since.
func (r *Reservations) Pay(ctx context.Context, p Payment, refs []chain.OutRef, purpose string) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("pay: %w: %w", ErrStore, err)
	}
	for _, ref := range refs {
		if err := reserveOne(ctx, tx, insertAgain, ref, purpose, p.Until); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	res, err := tx.ExecContext(ctx, insertPayment, p.Tx.String(), p.Raw, p.Order, p.Owner, int64(p.Since.Slot), p.Since.Hash.String(), int64(p.Height), int64(p.Until))
	if err != nil {
		return errors.Join(fmt.Errorf("pay %s: %w: %w", p.Tx, ErrStore, err), tx.Rollback())
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(fmt.Errorf("pay %s, which is under way: %w", p.Tx, ErrStore), err, tx.Rollback())
	}
	return commit("pay", tx)
}

// Payments are those in the store, the oldest first.
func (r *Reservations) Payments(ctx context.Context) (all []Payment, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT tx, raw, job, owner, ended, slot, hash, height, until FROM payments ORDER BY rowid`)
	if err != nil {
		return nil, fmt.Errorf("list payments: %w: %w", ErrStore, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p Payment
		var tx, hash string
		err := rows.Scan(&tx, &p.Raw, &p.Order, &p.Owner, &p.Ended, &p.Since.Slot, &hash, &p.Height, &p.Until)
		if err == nil {
			err = errors.Join(p.Tx.UnmarshalText([]byte(tx)), p.Since.Hash.UnmarshalText([]byte(hash)))
		}
		if err != nil {
			return nil, fmt.Errorf("list payments: %w: %w", ErrStore, err)
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list payments: %w: %w", ErrStore, err)
	}
	return all, nil
}

// Adopt gives a payment that has not ended another owner, if it still has the one given.
func (r *Reservations) Adopt(ctx context.Context, tx chain.TxID, from, to string) (bool, error) {
	res, err := r.db.ExecContext(ctx, `UPDATE payments SET owner = ? WHERE tx = ? AND owner = ? AND NOT ended`, to, tx.String(), from)
	if err != nil {
		return false, fmt.Errorf("adopt %s: %w: %w", tx, ErrStore, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("adopt %s: %w: %w", tx, ErrStore, err)
	}
	return n == 1, nil
}

// End notes that whoever ordered a payment knows how it ended: the same order is another payment from here on.
func (r *Reservations) End(ctx context.Context, tx chain.TxID) error {
	return r.exec(ctx, "end "+tx.String(), `UPDATE payments SET ended = 1 WHERE tx = ?`, tx.String())
}

// Void ends a payment that the ledger refuses for good, and gives back what is reserved for its purpose: both or neither.
func (r *Reservations) Void(ctx context.Context, tx chain.TxID, purpose string) error {
	what := "void " + tx.String()
	t, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrStore, err)
	}
	_, err = t.ExecContext(ctx, `UPDATE payments SET ended = 1 WHERE tx = ?`, tx.String())
	if err == nil {
		_, err = t.ExecContext(ctx, `DELETE FROM reservations WHERE purpose = ?`, purpose)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w: %w", what, ErrStore, err), t.Rollback())
	}
	return commit(what, t)
}
