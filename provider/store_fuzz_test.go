package provider

import (
	"database/sql"
	"errors"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/tallycompute/tally/market"
)

// FuzzStored: rows that a damaged disk gives back are errors of the store, or are written again as they were read.
func FuzzStored(f *testing.F) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1) // each connection has a memory of its own
	s, err := openStore(f.Context(), db)
	if err != nil {
		f.Fatal(err)
	}
	const name = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	f.Add(name, "ab#0", []byte(`{"`+name+`": {"Sent": 1, "Received": 2}}`), []byte{1}, []byte{2})
	f.Add("nobody", "", []byte(`{"x": 1}`), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, requester, bond string, traffic, request, quote []byte) {
		ctx := t.Context()
		for _, q := range []string{`DELETE FROM reservation`, `DELETE FROM shard`} {
			if _, err := db.ExecContext(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO reservation
			(id, requester, state, request, quote, bond, expires, shards, milli_cpu, memory_mib, disk_mib, job, tx) VALUES (?,?,?,?,?,?,1,1,1,1,1,?,?)`,
			make([]byte, 16), requester, witnessed, request, quote, bond, request, quote); err != nil {
			return // a BLOB that is NULL is not stored
		}
		r, ok, err := s.reservation(ctx, market.ReservationID{})
		if err != nil && !errors.Is(err, ErrStore) || err == nil && (!ok || r.Requester.String() != requester && r.Requester.Validate() != nil) {
			t.Fatalf("%+v, %v, %v", r, ok, err)
		}
		if err == nil {
			if _, _, err := r.documents(); err == nil && len(request) == 0 {
				t.Fatal("a request of nothing")
			}
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO shard VALUES (?,0,?)`, make([]byte, 28), traffic); err != nil {
			return
		}
		had, ok, err := s.traffic(ctx, market.JobID{}, 0)
		if err != nil {
			if !errors.Is(err, ErrStore) {
				t.Fatal(err)
			}
			return
		}
		if !ok {
			t.Fatal("it is there and is not")
		}
		if err := s.setEnd(ctx, market.JobID{}, 0, had, &market.Circle{StoodBy: []uint32{2}}); err != nil {
			t.Fatal(err)
		}
		again, _, err := s.traffic(ctx, market.JobID{}, 0)
		if err != nil || len(again) != len(had) {
			t.Fatalf("%v becomes %v: %v", had, again, err)
		}
		if c, err := s.circle(ctx, market.JobID{}, 0); err != nil || c == nil || len(c.StoodBy) != 1 {
			t.Fatalf("%+v: %v", c, err)
		}
		if err := s.unsetEnd(ctx, market.JobID{}, 0); err != nil {
			t.Fatal(err)
		}
		if c, err := s.circle(ctx, market.JobID{}, 0); err != nil || c != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	})
}
