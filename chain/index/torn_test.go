package index

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// snapshot is what is on the disk, and what an index says of it.
type snapshot struct {
	db, wal []byte
	dump    string
}

func snapshotOf(t *testing.T, path string, ix *Index) snapshot {
	t.Helper()
	db, err := os.ReadFile(path)
	wal, err2 := os.ReadFile(path + "-wal")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return snapshot{db, wal, dump(t, ix)}
}

// torn are the states between a and b of a file that is overwritten or grows from its first changed byte on: what a kill
// leaves when the process had written n more bytes, for every n that leaves rest when divided by stride, or is next to the
// end of a page or of a frame of the log (https://sqlite.org/walformat.html: a header of 32 bytes, frames of 24 and a page).
func torn(a, b []byte, stride, rest int, f func(n int, state []byte)) {
	const header, frame, page = 32, 24 + 4096, 4096
	first := 0
	for first < min(len(a), len(b)) && a[first] == b[first] {
		first++
	}
	last := len(b)
	for last > first && last <= len(a) && a[last-1] == b[last-1] {
		last--
	}
	near := func(n, size int) bool { return n%size <= 1 || n%size == size-1 }
	for n := first; n <= last; n++ {
		if n%stride != rest && !near(n, page) && !near(n-header, frame) && n != last {
			continue
		}
		state := append([]byte{}, b[:n]...)
		if n < len(a) {
			state = append(state, a[n:]...)
		}
		f(n, state)
	}
}

// killed kills SQLite at bytes of every write to its file and its log: of blocks added one by one and together,
// of a rollback, of the log's return into the file, and of the log's second round. What is found is what was before or
// what was to be, and goes on from there.
func killed(t *testing.T, stride, rest int) {
	path, again := filepath.Join(t.TempDir(), "index.db"), filepath.Join(t.TempDir(), "index.db")
	ix := openTest(t, path, testConfig())
	db, err := sql.Open("sqlite", sqliteSource(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	main := story(0)
	checkpoint := func() error {
		_, err := db.Exec("PRAGMA wal_checkpoint(PASSIVE)")
		return err
	}
	apply := func(blocks ...chain.Block) func() error {
		return func() error { return ix.apply(t.Context(), blocks, blocks[len(blocks)-1].Point) }
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"a block", apply(main[0])},
		{"blocks together", apply(main[1:4]...)},
		{"a checkpoint", checkpoint},
		{"a block in the log's second round", apply(main[4])},
		{"a rollback", func() error { return ix.undo(t.Context(), main[1].Point) }},
		{"a checkpoint after a rollback", checkpoint},
		{"blocks again", apply(main[2:]...)},
	}
	before, states := snapshotOf(t, path, ix), 0
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(s.name, err)
		}
		after := snapshotOf(t, path, ix)
		check := func(file string, n int, db, wal []byte) {
			states++
			got := reopened(t, again, db, wal)
			if got != before.dump && got != after.dump {
				t.Fatalf("%s, killed at byte %d of the %s:\n%s\nbefore:\n%s\nafter:\n%s", s.name, n, file, got, before.dump, after.dump)
			}
		}
		switch {
		case bytes.Equal(before.db, after.db):
			torn(before.wal, after.wal, stride, rest, func(n int, wal []byte) { check("log", n, after.db, wal) })
		case bytes.Equal(before.wal, after.wal):
			torn(before.db, after.db, stride, rest, func(n int, db []byte) { check("file", n, db, after.wal) })
		default:
			t.Fatalf("%s changed both the file and the log", s.name)
		}
		before = after
	}
	t.Logf("killed at %d bytes", states)
}

// reopened is what an index says that finds such files at path.
func reopened(t *testing.T, path string, db, wal []byte) string {
	t.Helper()
	if err := os.RemoveAll(path + "-shm"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, db, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", wal, 0o600); err != nil {
		t.Fatal(err)
	}
	ix := openWith(t, path, testConfig())
	defer ix.Close()
	ix.Register("observe/1", observe)
	return dump(t, ix)
}

func TestKilledBetweenPages(t *testing.T) { killed(t, 2048, 0) }
