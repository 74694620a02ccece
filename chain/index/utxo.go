package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// Spendable is an output, and the transaction that spent it, nil if none did.
type Spendable struct {
	chain.UTxO
	SpentBy *chain.TxID
}

// UTxOs are the unspent outputs at an address that is watched, ordered by reference.
func (ix *Index) UTxOs(ctx context.Context, a chain.Address) ([]chain.UTxO, error) {
	return ix.unspent(ctx, "address = ?", a.Bytes())
}

// UTxOsOf are the unspent outputs of a watched credential, whatever the stake part of their addresses.
func (ix *Index) UTxOsOf(ctx context.Context, c Credential) ([]chain.UTxO, error) {
	return ix.unspent(ctx, "credential = ?", c.bytes())
}

// UTxO is a watched output, even if it is spent: those are kept until K blocks deep.
func (ix *Index) UTxO(ctx context.Context, ref chain.OutRef) (s Spendable, ok bool, err error) {
	row := ix.db.QueryRowContext(ctx, ix.d.sql("SELECT "+utxoColumns+" FROM utxos WHERE tx = ? AND ix = ?"), ref.Tx[:], int64(ref.Index))
	s, err = scanUTxO(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("reading output %s: %w", ref, failed(err))
	}
	return s, true, nil
}

// TxBlock is the block that includes a transaction, if it touches what is watched and is included.
func (ix *Index) TxBlock(ctx context.Context, id chain.TxID) (p chain.Point, height uint64, ok bool, err error) {
	var slot, h int64
	var hash []byte
	err = ix.db.QueryRowContext(ctx, ix.d.sql("SELECT slot, hash, height FROM txs WHERE tx = ?"), id[:]).Scan(&slot, &hash, &h)
	if errors.Is(err, sql.ErrNoRows) {
		return p, 0, false, nil
	}
	if err != nil {
		return p, 0, false, fmt.Errorf("looking for transaction %s: %w", id, failed(err))
	}
	p.Slot = chain.Slot(slot)
	copy(p.Hash[:], hash)
	return p, uint64(h), true, nil
}

const utxoColumns = "tx, ix, address, value, datum, script, spender"

func (ix *Index) unspent(ctx context.Context, where string, arg any) (us []chain.UTxO, err error) {
	rows, err := ix.db.QueryContext(ctx, ix.d.sql("SELECT "+utxoColumns+" FROM utxos WHERE spent IS NULL AND "+where+" ORDER BY tx, ix"), arg)
	if err != nil {
		return nil, fmt.Errorf("reading outputs: %w", failed(err))
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanUTxO(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("reading outputs: %w", failed(err))
		}
		us = append(us, s.UTxO)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading outputs: %w", failed(err))
	}
	return us, nil
}

// scanUTxO reads utxoColumns, and more after them.
func scanUTxO(scan func(...any) error, more ...any) (s Spendable, err error) {
	var tx, address, spender []byte
	var index int64
	var value string
	if err := scan(append([]any{&tx, &index, &address, &value, &s.Datum, &s.Script, &spender}, more...)...); err != nil {
		return s, err
	}
	copy(s.Ref.Tx[:], tx)
	s.Ref.Index = uint32(index)
	if s.Address, err = chain.AddressFromBytes(address); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(value), &s.Value); err != nil {
		return s, fmt.Errorf("value %q: %w", value, err)
	}
	if spender != nil {
		s.SpentBy = new(chain.TxID)
		copy(s.SpentBy[:], spender)
	}
	return s, nil
}
