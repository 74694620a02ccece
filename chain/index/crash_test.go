package index

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/tallycompute/tally/chain"
)

var errFault = errors.New("the database failed")

// faulty is SQLite whose countdown-th statement or commit fails, and all after it: the process might as well be dead.
type faulty struct {
	path      string
	countdown int // -1: never
}

func (f *faulty) Driver() driver.Driver { return &sqlite.Driver{} }

func (f *faulty) Connect(context.Context) (driver.Conn, error) {
	c, err := f.Driver().Open(strings.Replace(sqliteSource(f.path), "NORMAL", "OFF", 1))
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f}, nil
}

func (f *faulty) step() error {
	if f.countdown == 0 {
		return errFault
	}
	if f.countdown > 0 {
		f.countdown--
	}
	return nil
}

type faultyConn struct {
	driver.Conn
	f *faulty
}

func (c *faultyConn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
	return &faultyStmt{s, c.f}, err
}

type faultyStmt struct {
	driver.Stmt
	f *faulty
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.f.step(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.f.step(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (c *faultyConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.f.step(); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return &faultyTx{tx, c.f}, err
}

type faultyTx struct {
	driver.Tx
	f *faulty
}

func (t *faultyTx) Commit() error {
	if err := t.f.step(); err != nil {
		return errors.Join(err, t.Tx.Rollback())
	}
	return t.Tx.Commit()
}

// Every block applied, every rollback and every start over either happens whole or not at all, whichever statement
// fails; and what comes after is as if nothing had been.
func TestFailAtEveryStatement(t *testing.T) {
	ctx := context.Background()
	main := story(0)
	cfg := testConfig()
	cfg.K = 4
	for name, tt := range map[string]struct {
		before []chain.Block
		do     func(*Index) error
	}{
		"apply":      {main[:2], func(ix *Index) error { return ix.apply(ctx, []chain.Block{main[2]}, main[2].Point) }},
		"prune":      {main[:5], func(ix *Index) error { return ix.apply(ctx, []chain.Block{main[5]}, main[5].Point) }},
		"undo":       {main, func(ix *Index) error { return ix.undo(ctx, main[2].Point) }},
		"start over": {main, func(ix *Index) error { return ix.reset(ctx, "a test") }},
	} {
		t.Run(name, func(t *testing.T) {
			faults := 0
			for done := false; !done; faults++ {
				f := &faulty{path: t.TempDir() + "/index.db", countdown: -1}
				db := sql.OpenDB(f)
				ix, err := open(ctx, db, sqliteDialect, cfg)
				if err != nil {
					t.Fatal(err)
				}
				ix.Register("observe/1", observe)
				feed(t, ix, tt.before...)
				before := dump(t, ix)
				f.countdown = faults
				err = tt.do(ix)
				if done = err == nil; !done && !errors.Is(err, errFault) {
					t.Fatal(err)
				}
				f.countdown = -1
				ix.Close()

				again := openTest(t, f.path, cfg)
				after := dump(t, again)
				if !done && after == before {
					if err := tt.do(again); err != nil {
						t.Fatalf("again after fault %d: %v", faults, err)
					}
					after = dump(t, again)
				}
				whole := openTest(t, t.TempDir()+"/index.db", cfg)
				feed(t, whole, tt.before...)
				if err := tt.do(whole); err != nil {
					t.Fatal(err)
				}
				if want := dump(t, whole); after != want {
					t.Fatalf("after fault %d:\n%s\nwant:\n%s", faults, after, want)
				}
			}
			if faults < 5 {
				t.Errorf("only %d statements: the faults are not where the writes are", faults)
			}
		})
	}
}

const childVariable = "TALLY_INDEX_TEST_CHILD"

// long is a chain for the child to index, and the reorganisations on its way.
func long() []chain.Block {
	var blocks []chain.Block
	prev, last := chain.Block{}, chain.OutRef{Index: 1}
	for i := range 3000 {
		tx := txOf(i, []chain.OutRef{last}, lotOut(5, byte(i)), out(alice, 3))
		last = tx.Outputs[0].Ref
		prev = blockAfter(prev, 0, tx)
		blocks = append(blocks, prev)
	}
	return blocks
}

// childMain is the life of the child process of TestKill: it indexes, with rollbacks, until it is killed.
func childMain() {
	path := os.Getenv(childVariable)
	if path == "" {
		return
	}
	ctx := context.Background()
	ix, err := Open(ctx, path, testConfig())
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fail(err)
	ix.Register("observe/1", observe)
	blocks := long()
	fmt.Println("ready")
	for n := int(ix.Tip().seq); n < len(blocks); n++ {
		fail(ix.apply(ctx, []chain.Block{blocks[n]}, blocks[n].Point))
		if n%10 == 9 {
			fail(ix.undo(ctx, blocks[n-5].Point))
			for m := n - 4; m <= n; m++ {
				fail(ix.apply(ctx, []chain.Block{blocks[m]}, blocks[m].Point))
			}
		}
	}
	os.Exit(0)
}

// A process killed while it writes leaves what some block left, and goes on from there.
func TestKill(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		path := db.New(t)
		blocks := long()
		for kill := range 6 {
			child := exec.Command(self)
			child.Env = append(os.Environ(), childVariable+"="+path)
			child.Stderr = os.Stderr
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdout.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(20+kill*17) * time.Millisecond) // anywhere in its writes
			child.Process.Kill()
			child.Wait()

			ix := openTest(t, path, testConfig())
			n := int(ix.Tip().seq)
			got := dump(t, ix)
			ix.Close()
			if want := fresh(t, testConfig(), blocks[:n]); got != want {
				t.Fatalf("killed at block %d:\n%s\na fresh index:\n%s", n, got, want)
			}
			t.Logf("killed at block %d", n)
		}
	})
}

// A value's text form is read back as it was.
func TestValueText(t *testing.T) {
	v := lotOut(1, 2).Value
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var w chain.Value
	if err := json.Unmarshal(b, &w); err != nil || !v.Equal(w) {
		t.Errorf("%s is read as %+v, %v", b, w, err)
	}
}
