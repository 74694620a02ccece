package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// States of a reservation.
const (
	reserved  = "reserved"  // quoted, not yet witnessed
	witnessed = "witnessed" // the opening is signed and may be in the chain until its lock expires
	ended     = "ended"     // its job is over; one that was never witnessed is deleted instead
)

// reservation is a promise to a requester.
type reservation struct {
	ID        market.ReservationID
	Requester peer.ID
	State     string
	Request   []byte // market.QuoteRequest, encoded
	Quote     []byte // signed
	Bond      chain.OutRef
	Expires   chain.Time
	Shards    uint32
	Resources market.Resources

	// once witnessed
	Job       market.JobID
	Terms     []byte
	Tx        chain.TxID
	LockUntil chain.Time
}

// record is a job's state beside the chain.
type record struct {
	Job         market.JobID
	Reservation market.ReservationID
	InputsReady bool
	Phase       market.Phase
	Message     string
	Result      []byte // signed
	ResultAt    chain.Time
	Receipt     []byte
	Done        bool
	Unpaid      bool // its programs were stopped, for vouchers did not come
}

// store keeps reservations and jobs. Every method is one database transaction.
type store struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS reservation (
	id BLOB PRIMARY KEY, requester TEXT NOT NULL, state TEXT NOT NULL, request BLOB NOT NULL, quote BLOB NOT NULL,
	bond TEXT NOT NULL, expires INTEGER NOT NULL, shards INTEGER NOT NULL, milli_cpu INTEGER NOT NULL,
	memory_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL, job BLOB, terms BLOB, tx BLOB, lock_until INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS job (
	job BLOB PRIMARY KEY, reservation BLOB NOT NULL, inputs_ready INTEGER NOT NULL DEFAULT 0, phase TEXT NOT NULL,
	message TEXT NOT NULL DEFAULT '', result BLOB, result_at INTEGER NOT NULL DEFAULT 0, receipt BLOB,
	done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS shard (job BLOB NOT NULL, shard INTEGER NOT NULL, traffic BLOB NOT NULL, PRIMARY KEY (job, shard));
CREATE TABLE IF NOT EXISTS circle (job BLOB NOT NULL, shard INTEGER NOT NULL, seen BLOB NOT NULL, PRIMARY KEY (job, shard));
CREATE TABLE IF NOT EXISTS voucher (job BLOB PRIMARY KEY, cumulative INTEGER NOT NULL, signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS unpaid (job BLOB PRIMARY KEY);
CREATE TABLE IF NOT EXISTS leaving (
	job BLOB NOT NULL, slice TEXT NOT NULL, caller TEXT NOT NULL, tx BLOB NOT NULL, PRIMARY KEY (job, slice, caller, tx));
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);`

func openStore(ctx context.Context, db *sql.DB) (*store, error) {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrStore, err)
	}
	return &store{db}, nil
}

// sequence is the last number that nextSequence gave, or 0.
func (s *store) sequence(ctx context.Context) (uint64, error) {
	var last int64
	err := s.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'offer_sequence'`).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(last), wrap("offer sequence", err)
}

// nextSequence is a number that this store never gave before, and is at least floor.
func (s *store) nextSequence(ctx context.Context, floor uint64) (n uint64, err error) {
	var next int64
	err = s.db.QueryRowContext(ctx, `INSERT INTO meta VALUES ('offer_sequence', ?)
		ON CONFLICT (name) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value`, int64(floor)).Scan(&next)
	return uint64(next), wrap("offer sequence", err)
}

func (s *store) addReservation(ctx context.Context, r reservation) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO reservation
		(id, requester, state, request, quote, bond, expires, shards, milli_cpu, memory_mib, disk_mib) VALUES (?,?,?,?,?,?,?,?,?,?,?)`,
		r.ID[:], r.Requester.String(), r.State, r.Request, r.Quote, r.Bond.String(), int64(r.Expires), r.Shards,
		int64(r.Resources.MilliCPU), int64(r.Resources.MemoryMiB), int64(r.Resources.DiskMiB))
	return wrap("reserve", err)
}

const reservationColumns = `id, requester, state, request, quote, bond, expires, shards, milli_cpu, memory_mib, disk_mib, job, terms, tx, lock_until`

func scanReservation(row interface{ Scan(...any) error }) (r reservation, err error) {
	var id, job, tx []byte
	var requester, bond string
	var expires, lockUntil, cpu, mem, disk int64
	err = row.Scan(&id, &requester, &r.State, &r.Request, &r.Quote, &bond, &expires, &r.Shards, &cpu, &mem, &disk, &job, &r.Terms, &tx, &lockUntil)
	if err != nil {
		return r, err
	}
	copy(r.ID[:], id)
	copy(r.Job[:], job)
	copy(r.Tx[:], tx)
	r.Expires, r.LockUntil = chain.Time(expires), chain.Time(lockUntil)
	r.Resources = market.Resources{MilliCPU: uint64(cpu), MemoryMiB: uint64(mem), DiskMiB: uint64(disk)}
	if r.Requester, err = peer.Decode(requester); err != nil {
		return r, err
	}
	return r, r.Bond.UnmarshalText([]byte(bond))
}

// reservation finds one; ok is false if there is none.
func (s *store) reservation(ctx context.Context, id market.ReservationID) (r reservation, ok bool, err error) {
	r, err = scanReservation(s.db.QueryRowContext(ctx, `SELECT `+reservationColumns+` FROM reservation WHERE id = ?`, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, wrap("reservation", err)
}

// live lists the reservations that hold capacity.
func (s *store) live(ctx context.Context) (all []reservation, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+reservationColumns+` FROM reservation WHERE state <> ? ORDER BY id`, ended)
	if err != nil {
		return nil, wrap("reservations", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scanReservation(rows)
		if err != nil {
			return nil, wrap("reservations", err)
		}
		all = append(all, r)
	}
	return all, wrap("reservations", rows.Err())
}

// drop deletes a reservation that was not witnessed.
func (s *store) drop(ctx context.Context, id market.ReservationID) error {
	return s.exec(ctx, "drop reservation", `DELETE FROM reservation WHERE id = ? AND state = ?`, id[:], reserved)
}

// witness records, before the signature leaves, what was signed, and makes its job.
func (s *store) witness(ctx context.Context, r reservation) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE reservation SET state = ?, job = ?, terms = ?, tx = ?, lock_until = ? WHERE id = ? AND state = ?`,
			witnessed, r.Job[:], r.Terms, r.Tx[:], int64(r.LockUntil), r.ID[:], reserved)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(fmt.Errorf("reservation %s is no longer open", r.ID), err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO job (job, reservation, phase) VALUES (?,?,?)`, r.Job[:], r.ID[:], string(market.PhaseWaiting))
		return err
	})
}

const jobColumns = `job, reservation, inputs_ready, phase, message, result, result_at, receipt, done, job IN (SELECT job FROM unpaid)`

func scanJob(row interface{ Scan(...any) error }) (j record, err error) {
	var job, id []byte
	var phase string
	var at int64
	if err = row.Scan(&job, &id, &j.InputsReady, &phase, &j.Message, &j.Result, &at, &j.Receipt, &j.Done, &j.Unpaid); err != nil {
		return j, err
	}
	copy(j.Job[:], job)
	copy(j.Reservation[:], id)
	j.Phase, j.ResultAt = market.Phase(phase), chain.Time(at)
	return j, nil
}

// job finds one; ok is false if there is none.
func (s *store) job(ctx context.Context, id market.JobID) (j record, ok bool, err error) {
	j, err = scanJob(s.db.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM job WHERE job = ?`, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil, wrap("job", err)
}

// jobs lists those that are not done, or all.
func (s *store) jobs(ctx context.Context, all bool) (found []record, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+jobColumns+` FROM job WHERE done = 0 OR ? ORDER BY rowid`, all)
	if err != nil {
		return nil, wrap("jobs", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		j, err := scanJob(rows)
		if err != nil {
			return nil, wrap("jobs", err)
		}
		found = append(found, j)
	}
	return found, wrap("jobs", rows.Err())
}

func (s *store) setPhase(ctx context.Context, id market.JobID, p market.Phase, message string) error {
	return s.exec(ctx, "phase", `UPDATE job SET phase = ?, message = ? WHERE job = ?`, string(p), message, id[:])
}

func (s *store) setInputsReady(ctx context.Context, id market.JobID) error {
	return s.exec(ctx, "inputs", `UPDATE job SET inputs_ready = 1 WHERE job = ?`, id[:])
}

// setResult records a signed result, once: a second one is refused, for the first may already be on chain.
func (s *store) setResult(ctx context.Context, id market.JobID, p market.Phase, result []byte, at chain.Time) error {
	return s.exec(ctx, "result", `UPDATE job SET phase = ?, result = ?, result_at = ? WHERE job = ? AND result IS NULL`, string(p), result, int64(at), id[:])
}

func (s *store) setReceipt(ctx context.Context, id market.JobID, receipt []byte) error {
	return s.exec(ctx, "receipt", `UPDATE job SET receipt = ? WHERE job = ?`, receipt, id[:])
}

// finish marks a job as over and frees its capacity.
func (s *store) finish(ctx context.Context, j record, p market.Phase, message string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE job SET done = 1, phase = ?, message = ? WHERE job = ?`, string(p), message, j.Job[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM leaving WHERE job = ?`, j.Job[:]); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE reservation SET state = ? WHERE id = ?`, ended, j.Reservation[:])
		return err
	})
}

// setEnd records what a shard's collective exchanged, and who was there, once it has ended in order. Its program is done
// with it then, and must not be started again.
func (s *store) setEnd(ctx context.Context, id market.JobID, shard uint32, t map[peer.ID]Traffic, c *market.Circle) error {
	byName := map[string]Traffic{} // a peer id is bytes, which are no key in JSON
	for id, n := range t {
		byName[id.String()] = n
	}
	b, err := json.Marshal(byName)
	if err != nil {
		return wrap("traffic", err)
	}
	seen, err := json.Marshal(c)
	if err != nil {
		return wrap("circle", err)
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO shard VALUES (?,?,?) ON CONFLICT (job, shard) DO UPDATE SET traffic = excluded.traffic`, id[:], shard, b)
		if err == nil && c != nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO circle VALUES (?,?,?) ON CONFLICT (job, shard) DO UPDATE SET seen = excluded.seen`, id[:], shard, seen)
		}
		return err
	})
}

// circle is who setEnd recorded; nil: nobody.
func (s *store) circle(ctx context.Context, id market.JobID, shard uint32) (c *market.Circle, err error) {
	var b []byte
	err = s.db.QueryRowContext(ctx, `SELECT seen FROM circle WHERE job = ? AND shard = ?`, id[:], shard).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	return c, wrap("circle", err)
}

// traffic is what setEnd recorded; ok is false if it did not.
func (s *store) traffic(ctx context.Context, id market.JobID, shard uint32) (t map[peer.ID]Traffic, ok bool, err error) {
	var b []byte
	err = s.db.QueryRowContext(ctx, `SELECT traffic FROM shard WHERE job = ? AND shard = ?`, id[:], shard).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	var byName map[string]Traffic
	if err == nil {
		err = json.Unmarshal(b, &byName)
	}
	t = map[peer.ID]Traffic{}
	for name, n := range byName {
		id, dErr := peer.Decode(name)
		t[id], err = n, errors.Join(err, dErr)
	}
	return t, err == nil, wrap("traffic", err)
}

// unsetEnd forgets it: the shard starts over.
func (s *store) unsetEnd(ctx context.Context, id market.JobID, shard uint32) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"shard", "circle"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE job = ? AND shard = ?`, id[:], shard); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) exec(ctx context.Context, what, q string, args ...any) error {
	res, err := s.db.ExecContext(ctx, q, args...)
	if err != nil {
		return wrap(what, err)
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows", n)
	}
	return wrap(what, err)
}

func (s *store) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("begin", err)
	}
	if err := f(tx); err != nil {
		return wrap("transaction", errors.Join(err, tx.Rollback()))
	}
	return wrap("commit", tx.Commit())
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrStore, what, err)
}
