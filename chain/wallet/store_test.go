package wallet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
)

// TestStoreLocked: a store that another process holds for too long is an error that says so, and changes nothing.
func TestStoreLocked(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "wallet.db")
	holder := open(t, path)
	r, err := openReservations(ctx, path, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Reserve(ctx, refs(1), "a", 5); err != nil {
		t.Fatal(err)
	}
	tx, err := holder.db.BeginTx(ctx, nil) // takes the write lock at once
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"reserve": r.Reserve(ctx, refs(2), "b", 5), "release": r.Release(ctx, "a"), "expire": r.Expire(ctx, 9, 0), "spent": r.Spent(ctx, refs(1)),
	} {
		if !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "locked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := r.All(ctx); err != nil || len(got) != 1 {
		t.Errorf("reading while another writes: %v %v", got, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := r.Reserve(ctx, refs(2), "b", 5); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestStoreOpenedTogether: whoever is first makes the store, and nobody is turned away meanwhile.
func TestStoreOpenedTogether(t *testing.T) {
	for n := range 40 {
		path := filepath.Join(t.TempDir(), fmt.Sprint(n), "wallet.db")
		var opening sync.WaitGroup
		for range 8 {
			opening.Go(func() {
				r, err := OpenReservations(t.Context(), path)
				if err == nil {
					err = r.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
	}
}

// TestStoreFull: where there is no room, nothing of a reservation is kept and nothing older is lost, and with room again
// all goes on.
func TestStoreFull(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "wallet.db")
	r := open(t, path)
	r.db.SetMaxOpenConns(1) // the limit is a connection's
	if err := r.Reserve(ctx, refs(1, 2, 3), "older", 5); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.ExecContext(ctx, "PRAGMA max_page_count = 4"); err != nil {
		t.Fatal(err)
	}
	var many []chain.OutRef
	for i := range uint32(500) {
		many = append(many, chain.OutRef{Index: 100 + i})
	}
	if err := r.Reserve(ctx, many, "large", 5); !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("no room, and yet: %v", err)
	}
	for _, store := range []*Reservations{r, open(t, path)} {
		if got, err := store.All(ctx); err != nil || len(got) != 3 || got[0].Purpose != "older" {
			t.Errorf("%d reservations: %v", len(got), err)
		}
	}
	if _, err := r.db.ExecContext(ctx, "PRAGMA max_page_count = 4000"); err != nil {
		t.Fatal(err)
	}
	if err := r.Reserve(ctx, many, "large", 5); err != nil {
		t.Error(err)
	}
}

// TestStoreDamaged: a file that is no store is an error, and stays as it is.
func TestStoreDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.db")
	text := []byte(strings.Repeat("this is no database ", 400))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReservations(t.Context(), path); !errors.Is(err, ErrStore) {
		t.Errorf("opened: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(text) {
		t.Errorf("changed: %v", err)
	}
}
