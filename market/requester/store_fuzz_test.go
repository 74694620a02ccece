package requester

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	_ "modernc.org/sqlite"

	"github.com/tallycompute/tally/market"
)

// FuzzStored: a job that a damaged disk gives back is an error of the store, or one that is written again as it was
// read; what is made of its parts is made, or an error.
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
	id, err := peer.Decode("12D3KooWEn7i25GeL2BDjfGZJUA7mzNPyaYvFCatJpLVuc8aDsuR")
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []record{{ID: "a", Phase: Planned}, {ID: "b", Phase: Signed, Tx: []byte{0x84}, Lots: []lotRecord{{Offer: market.Offer{Peer: id}, Shards: []uint32{1}}}}} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"at_ms": {"signed": 1}, "error_kind": "x", "error": "y", "resolved": [{}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		ctx := t.Context()
		if _, err := db.ExecContext(ctx, `DELETE FROM job`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO job (id, version, phase, done, state) VALUES ('x', 1, '', 0, ?)`, state); err != nil {
			return // an empty state is NULL
		}
		all, err := s.all(ctx)
		if err != nil {
			if !errors.Is(err, ErrStore) {
				t.Fatal(err)
			}
			return
		}
		if len(all) != 1 {
			t.Fatalf("%d jobs", len(all))
		}
		r := all[0]
		r.signed()
		r.job()
		if err := r.err(); (err == nil) != (r.ErrText == "") {
			t.Fatal(err)
		}
		if tx, err := r.opening(); err == nil && tx == nil || err != nil && !errors.Is(err, ErrStore) {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again record
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		c, err := json.Marshal(again)
		if err != nil || !bytes.Equal(b, c) {
			t.Fatalf("%s becomes %s: %v", b, c, err)
		}
	})
}
