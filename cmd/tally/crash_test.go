//go:build crash && linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
)

// crashRun is one network and one participant on it, killed and started again.
type crashRun struct {
	*Net
	home, socket string
	listener     net.Listener
}

func newCrashRun() (*crashRun, error) {
	home, err := os.MkdirTemp("", "crash")
	if err != nil {
		return nil, err
	}
	r := &crashRun{
		Net:  &Net{ledger: chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), crashGenesis())},
		home: home, socket: filepath.Join(home, "net.socket"),
	}
	if r.listener, err = net.Listen("unix", r.socket); err != nil {
		return nil, err
	}
	go r.serve(r.listener)
	return r, nil
}

func (r *crashRun) close() error { return errors.Join(r.listener.Close(), os.RemoveAll(r.home)) }

// live runs the process until it is killed at a point, or, for 0, until it has finished. where is where it was killed;
// "": it finished.
func (r *crashRun) live(ctx context.Context, kill int) (where string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childHome+"="+r.home, childSocket+"="+r.socket, fmt.Sprint(childKill, "=", kill))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err = cmd.Run()
	if wasKilled(cmd) && ctx.Err() == nil {
		return lastWords(errs.String()), nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.String())
	}
	return "", nil
}

// wasKilled says whether a process that has ended was killed.
func wasKilled(cmd *exec.Cmd) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// lastWords is the last line.
func lastWords(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// between looks at what a killed process left: every transaction in its journal has its inputs reserved, and no two that
// can still come share one.
func (r *crashRun) between(ctx context.Context) (err error) {
	if _, err := os.Stat(filepath.Join(r.home, "journal.db")); err != nil {
		return nil // it had not come that far
	}
	kept, err := wallet.OpenReservations(ctx, filepath.Join(r.home, "wallet.db"))
	if err != nil {
		return err
	}
	journal, err := openDB(filepath.Join(r.home, "journal.db"))
	if err != nil {
		return errors.Join(err, kept.Close())
	}
	defer func() { err = errors.Join(err, journal.Close(), kept.Close()) }()
	all, err := kept.All(ctx)
	if err != nil {
		return err
	}
	holder := map[chain.OutRef]string{}
	for _, x := range all {
		holder[x.Ref] = x.Purpose
	}
	rows, err := journal.QueryContext(ctx, `SELECT job, tx, until FROM jobs WHERE done = 0`)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var job int
		var raw []byte
		var until chain.Slot
		if err := rows.Scan(&job, &raw, &until); err != nil {
			return err
		}
		tx, err := chain.DecodeTx(raw)
		if err != nil {
			return err
		}
		body, err := tx.Inspect()
		if err != nil {
			return err
		}
		if r.ledger.Slot() >= until+crashMargin {
			continue // given up at the next start
		}
		for _, ref := range body.Inputs {
			if want := fmt.Sprintf("job %d %s", job, body.ID); holder[ref] != want {
				return fmt.Errorf("lost reservation: %s of %q is held for %q", ref, want, holder[ref])
			}
		}
	}
	return rows.Err()
}

// settled looks at the end: every shop was paid once, the wallet has the rest, and knows it.
func (r *crashRun) settled(ctx context.Context) (err error) {
	have := chain.Lovelace(0)
	for _, u := range crashGenesis() {
		have += u.Value.Coin
	}
	for job := range crashJobs {
		paid := r.ledger.UTxOs(crashShop(job).Address)
		if len(paid) != 1 || paid[0].Value.Coin != crashAmount(job) {
			return fmt.Errorf("payment %d was made %d times: double spend or lost", job, len(paid))
		}
		have -= crashAmount(job)
	}
	blocks := map[chain.Slot]chain.Block{}
	for _, e := range r.ledger.Events(0) {
		if e.Block != nil {
			blocks[e.Block.Slot] = *e.Block
			continue
		}
		maps.DeleteFunc(blocks, func(s chain.Slot, _ chain.Block) bool { return s > e.Rollback.Slot })
	}
	for _, b := range blocks {
		for _, tx := range b.Txs {
			have -= tx.Fee
		}
	}
	p, err := openJournaled(ctx, r.home, &remote{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	known, err := p.ix.UTxOs(ctx, p.wallet.Address())
	if err != nil {
		return err
	}
	onChain := r.ledger.UTxOs(p.wallet.Address())
	refs := func(us []chain.UTxO) (refs []chain.OutRef) {
		for _, u := range us {
			refs = append(refs, u.Ref)
		}
		return refs
	}
	if !slices.Equal(refs(known), refs(onChain)) {
		return fmt.Errorf("lost output: the index has %v, the chain %v", refs(known), refs(onChain))
	}
	sum := chain.Lovelace(0)
	for _, u := range onChain {
		sum += u.Value.Coin
	}
	if sum != have {
		return fmt.Errorf("the wallet has %d lovelace, and should have %d", sum, have)
	}
	if left, err := p.kept.All(ctx); err != nil || len(left) > 0 {
		return fmt.Errorf("%d outputs are still reserved: %w", len(left), err)
	}
	return nil
}

// killed is a life with deaths: at each of the points, counted from the last start. where are the places.
func killed(ctx context.Context, points ...int) (where []string, err error) {
	r, err := newCrashRun()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for _, kill := range points {
		at, err := r.live(ctx, kill)
		if err != nil {
			return where, err
		}
		if at == "" {
			return where, r.settled(ctx) // it finished before it came to that point
		}
		where = append(where, at)
		if err := r.between(ctx); err != nil {
			return where, fmt.Errorf("killed at %s: %w", at, err)
		}
	}
	if at, err := r.live(ctx, 0); err != nil || at != "" {
		return where, fmt.Errorf("killed at %v; did not finish: %w", where, err)
	}
	return where, r.settled(ctx)
}

// deaths counts kills by place, and those that were survived.
type deaths struct {
	mu           sync.Mutex
	at, survived map[string]int
	errs         []error
}

func (d *deaths) note(where []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range where {
		d.at[w]++
		if err == nil {
			d.survived[w]++
		}
	}
	if err != nil {
		d.errs = append(d.errs, err)
	}
}

func (d *deaths) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KILLED AT\tTIMES\tNOTHING LOST, NOTHING TWICE")
	times, good := 0, 0
	for _, where := range slices.Sorted(maps.Keys(d.at)) {
		fmt.Fprintf(w, "%s\t%d\t%d\n", where, d.at[where], d.survived[where])
		times, good = times+d.at[where], good+d.survived[where]
	}
	fmt.Fprintf(w, "all\t%d\t%d\n", times, good)
	_ = w.Flush()
}

// TestCrashChain kills the process at every write and every submission of the scenario, one after another, and then at
// several of them in one life.
func TestCrashChain(t *testing.T) {
	d := &deaths{at: map[string]int{}, survived: map[string]int{}}
	var wg sync.WaitGroup
	next := make(chan []int)
	ended := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for points := range next {
				where, err := killed(t.Context(), points...)
				if err != nil {
					err = fmt.Errorf("points %v: %w", points, err)
				}
				d.note(where, err)
				if len(points) == 1 && len(where) == 0 {
					select {
					case ended <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	most := 0
	for n, more := 1, true; more; n++ {
		select {
		case next <- []int{n}:
			most = n
		case <-ended:
			more = false
		}
	}
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		points := make([]int, 2+rnd.IntN(4))
		for i := range points {
			points[i] = 1 + rnd.IntN(most/2)
		}
		next <- points
	}
	close(next)
	wg.Wait()
	d.print()
	for _, err := range d.errs {
		t.Error(err)
	}
	for _, must := range []string{"before a submission", "after a submission", "wallet.db: insert reservations", "index.db: commit"} {
		if d.at[must] == 0 {
			t.Errorf("never killed at %q: the points are not where the writes are", must)
		}
	}
}
