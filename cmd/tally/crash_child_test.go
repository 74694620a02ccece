//go:build crash && linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
)

// What the killed process is told: its directory and network, and after how many points it is to be killed (0: never).
// With childPays it is tally instead, and does what it has arguments for.
const (
	childHome   = "TALLY_CRASH_HOME"
	childSocket = "TALLY_CRASH_SOCKET"
	childKill   = "TALLY_CRASH_KILL"
	childPays   = "TALLY_CRASH_PAYS"
)

// init makes this test binary the process that is killed, if it is told so.
func init() {
	if os.Getenv(childPays) != "" {
		hookWrites()
		a := &app{stdout: pointed{os.Stdout, "told the outcome"}, stderr: pointed{os.Stderr, "said something"}}
		os.Exit(a.report(newRoot(a).ExecuteContext(context.Background())))
	}
	home := os.Getenv(childHome)
	if home == "" {
		return
	}
	if err := payAll(context.Background(), home, os.Getenv(childSocket)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var passed atomic.Int64

// point is a place where the process can be killed. It says where it was.
func point(where string) {
	kill, _ := strconv.ParseInt(os.Getenv(childKill), 10, 64)
	if n := passed.Add(1); n == kill {
		fmt.Fprint(os.Stderr, "\n"+where+"\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// pointed has a point before and after each line that is printed.
type pointed struct {
	*os.File
	what string
}

// Write implements io.Writer.
func (p pointed) Write(b []byte) (int, error) {
	if !strings.HasSuffix(string(b), "\n") {
		return p.File.Write(b)
	}
	point("before it " + p.what)
	n, err := p.File.Write(b)
	point("after it " + p.what)
	return n, err
}

// hookWrites makes every row that SQLite writes, and every commit, a point.
func hookWrites() {
	ops := map[int32]string{9: "delete", 18: "insert", 23: "update"} // SQLITE_DELETE, SQLITE_INSERT, SQLITE_UPDATE
	sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, dsn string) error {
		file, _, _ := strings.Cut(filepath.Base(dsn), "?")
		h := c.(sqlite.HookRegisterer)
		h.RegisterPreUpdateHook(func(d sqlite.SQLitePreUpdateData) {
			point(fmt.Sprintf("%s: %s %s", file, ops[d.Op], d.TableName))
		})
		h.RegisterCommitHook(func() int32 { point(file + ": commit"); return 0 })
		return nil
	})
}

// The scenario: so many payments, at most so many under way, of amounts that tell them apart.
const (
	crashJobs     = 7
	crashInFlight = 3
	crashValidity = 12 // slots
	crashDepth    = 5  // confirmations after which a payment is done: no rollback goes that deep
	crashMargin   = 10 // slots after its validity ended until a transaction is given up
)

func crashAmount(job int) chain.Lovelace { return chain.Lovelace(2_000_000 + job) }

func crashShop(job int) chaintest.Actor { return chaintest.NewActor(fmt.Sprint("shop ", job)) }

// crashGenesis are the coins that it starts with.
func crashGenesis() (us []chain.UTxO) {
	a := chaintest.NewActor("crash")
	for i := range uint32(4) {
		us = append(us, a.Coin(i, chain.Coins(20_000_000)))
	}
	return us
}

// journaled is a payer with a journal, which is what a requester's database is: a transaction is in it before it is
// handed in.
type journaled struct {
	*payer
	journal *sql.DB
}

func openJournaled(ctx context.Context, home string, net *remote) (*journaled, error) {
	w, err := wallet.New(wallet.Secret{PaymentKey: chaintest.NewActor("crash").Key.Seed()}, chaintest.Network(), wallet.Enterprise())
	if err != nil {
		return nil, err
	}
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "tNTX"}))
	if err != nil {
		return nil, err
	}
	p, err := openPayer(ctx, home, w, net, c, crashGenesis(), crashMargin*time.Second)
	if err != nil {
		return nil, err
	}
	j := &journaled{payer: p}
	if j.journal, err = openDB(filepath.Join(home, "journal.db")); err != nil {
		return nil, errors.Join(err, p.close())
	}
	_, err = j.journal.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS jobs (job INTEGER PRIMARY KEY, tx BLOB, until INTEGER, done INTEGER NOT NULL)`)
	return j, err
}

func (p *journaled) close() error { return errors.Join(p.journal.Close(), p.payer.close()) }

// payAll is the life of the process: it makes every payment that is not made yet, and lets the last reservations expire.
func payAll(ctx context.Context, home, socket string) error {
	hookWrites()
	net, err := dialNet(socket)
	if err != nil {
		return err
	}
	p, err := openJournaled(ctx, home, net)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- p.ix.Run(ctx, net) }()
	for open, idle := 1, 0; open > 0 || idle <= crashValidity+crashMargin+1; idle++ {
		tip, err := net.forge()
		if err != nil {
			return err
		}
		for changed := p.ix.Changed(); p.ix.Tip().Point != tip; changed = p.ix.Changed() {
			select {
			case <-changed:
			case <-time.After(50 * time.Millisecond):
				net.forged <- struct{}{} // an index that had just read everything waits for more
			case err := <-ran:
				return err
			}
		}
		if open, err = p.round(ctx); err != nil {
			return err
		}
		if open > 0 {
			idle = 0
		}
	}
	if err := p.kept.Expire(ctx, chaintest.Clock().SlotToTime(p.ix.Tip().Slot), crashMargin*1000); err != nil {
		return err
	}
	cancel()
	<-ran
	fmt.Println("points", passed.Load())
	return p.close()
}

// round takes every payment a step further, and says how many are not done.
func (p *journaled) round(ctx context.Context) (open int, err error) {
	for job := range crashJobs {
		done, err := p.step(ctx, job)
		if err != nil {
			return 0, fmt.Errorf("payment %d: %w", job, err)
		}
		if !done {
			open++
		}
		if open == crashInFlight {
			break
		}
	}
	return open, nil
}

func (p *journaled) step(ctx context.Context, job int) (done bool, err error) {
	var raw []byte
	var until chain.Slot
	err = p.journal.QueryRowContext(ctx, `SELECT tx, until, done FROM jobs WHERE job = ?`, job).Scan(&raw, &until, &done)
	tip := p.ix.Tip().Slot
	switch {
	case done:
		return true, nil
	case errors.Is(err, sql.ErrNoRows):
		d := chain.Draft{
			Outputs: []chain.Output{{Address: crashShop(job).Address, Value: chain.Coins(crashAmount(job))}},
			From:    tip, Until: tip + crashValidity,
		}
		tx, err := p.purse.Pay(ctx, d, fmt.Sprint("job ", job))
		if errors.Is(err, chain.ErrInsufficient) {
			return false, nil // until reservations of an earlier life expire
		}
		if err != nil {
			return false, err
		}
		raw = tx.Bytes()
		if _, err := p.journal.ExecContext(ctx, `INSERT INTO jobs (job, tx, until, done) VALUES (?, ?, ?, 0)`, job, raw, d.Until); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	}
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return false, err
	}
	depth, err := known{p.ix, p.kept}.Confirmations(ctx, tx.ID())
	if err != nil {
		return false, err
	}
	if depth >= crashDepth {
		_, err := p.journal.ExecContext(ctx, `UPDATE jobs SET done = 1 WHERE job = ?`, job)
		return true, err
	}
	outcome, err := p.hand.Submit(ctx, raw)
	if outcome == chain.Refused || outcome == chain.Unknown {
		return false, err
	}
	if outcome.Lost() && until != 0 && tip >= until+crashMargin { // it can never come any more: another one may
		_, err := p.journal.ExecContext(ctx, `DELETE FROM jobs WHERE job = ?`, job)
		return false, err
	}
	return false, nil
}
