package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Database is a kind of database to test on; New is the DSN of an empty one. Of many random trials, it gets every so many.
type Database struct {
	Name  string
	Every int
	New   func(t testing.TB) string
}

// Databases are SQLite, and a PostgreSQL server that the first test to ask for it starts.
var Databases = []Database{
	{"sqlite", 1, func(t testing.TB) string { return filepath.Join(t.TempDir(), "index.db") }},
	{"postgres", 5, func(t testing.TB) string { return postgres.schema(t) }},
}

// onEach runs a test on each kind of database.
func onEach(t *testing.T, f func(t *testing.T, db Database)) {
	for _, db := range Databases {
		t.Run(db.Name, func(t *testing.T) { f(t, db) })
	}
}

// postgres is the tests' own server: a cluster in a temporary directory that listens on a socket there. Where the tests
// run as root it runs as the user postgres, for it refuses to be root.
var postgres server

// serverOptions spare the disk: no test pulls the power cord.
var serverOptions = []string{"-c", "fsync=off", "-c", "full_page_writes=off"}

type server struct {
	once    sync.Once
	err     error
	dir     string
	admin   *sql.DB
	cmd     *exec.Cmd
	guard   interface{ Close() error }
	schemas atomic.Int64
}

// schema is the DSN of a new schema, which is a database as far as an index can see.
func (s *server) schema(t testing.TB) string {
	t.Helper()
	s.once.Do(func() { s.err = s.start() })
	if s.err != nil {
		t.Fatalf("PostgreSQL, which these tests need and  make setup-tests  installs: %v", s.err)
	}
	name := fmt.Sprintf("t%d", s.schemas.Add(1))
	if _, err := s.admin.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.admin.Exec("DROP SCHEMA " + name + " CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return s.dsn(url.Values{"search_path": {name}})
}

func (s *server) dsn(q url.Values) string {
	q.Set("host", s.dir)
	q.Set("user", "tally")
	return "postgres:///postgres?" + q.Encode()
}

func (s *server) start() (err error) {
	if s.dir, err = os.MkdirTemp("", "tally-postgres-"); err != nil {
		return err
	}
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err, err2, os.Chown(s.dir, int(uid), int(gid))); err != nil {
			return err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(postgresProgram("initdb"), "-D", data, "-U", "tally", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	// The shell ends the server when its own standard input ends, however this process does.
	options := append([]string{"-D", data, "-k", s.dir, "-c", "listen_addresses="}, serverOptions...)
	s.cmd = exec.Command("sh", append([]string{"-c", `"$0" "$@" & cat >/dev/null; kill -INT $!; wait $!`, postgresProgram("postgres")}, options...)...)
	s.cmd.SysProcAttr, s.cmd.Dir = attr, s.dir
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if s.guard, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if s.admin, err = sql.Open("pgx", s.dsn(url.Values{})); err != nil {
		return err
	}
	for {
		err := s.admin.PingContext(context.Background())
		if err == nil {
			return nil
		}
		text, _ := os.ReadFile(log.Name())
		if strings.Contains(string(text), "FATAL") && !strings.Contains(string(text), "starting up") {
			return fmt.Errorf("%w: %s", err, text)
		}
	}
}

// stop ends the server and removes what it leaves.
func (s *server) stop() error {
	if s.cmd != nil && s.cmd.Process != nil {
		err := s.guard.Close()
		if s.admin != nil {
			err = errors.Join(err, s.admin.Close())
		}
		if err := errors.Join(err, s.cmd.Wait()); err != nil {
			return err
		}
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// postgresProgram finds a server's program, which Debian keeps out of the PATH.
func postgresProgram(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if slices.Sort(found); len(found) > 0 {
		return found[len(found)-1]
	}
	return name
}
