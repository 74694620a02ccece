package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tallycompute/tally/market/requester"
)

// Run is a `tally run` under way.
type Run struct {
	Began time.Time
	p     *Participant
	seen  int // lines of progress that Follow has handed out
}

// StartRun starts `tally run` on a job file; its gathered outputs go to results.
func (p *Participant) StartRun(file, results string) (*Run, error) {
	r := &Run{Began: time.Now(), p: p}
	return r, p.start("run", file, "-y", "--results", results, "--listen", loopback)
}

// Resume starts `tally run --resume`.
func (p *Participant) Resume(job string) (*Run, error) {
	r := &Run{Began: time.Now(), p: p}
	return r, p.start("run", "--resume", job, "-y", "--listen", loopback)
}

// Follow hands every progress event that it has not handed out before to f, until f says that it has seen enough or the
// process ends; enough says which.
func (r *Run) Follow(ctx context.Context, f func(e requester.Event, at time.Time) (enough bool)) (enough bool, err error) {
	proc := r.p.Process()
	for {
		ended := false
		select {
		case <-proc.Done():
			ended = true
		default:
		}
		lines, when, changed := proc.errs.next(r.seen)
		for i, l := range lines {
			r.seen++
			var e requester.Event
			if !bytes.HasPrefix(l, []byte("{")) || json.Unmarshal(l, &e) != nil || e.Phase == "" {
				continue // the program's log
			}
			if f(e, when[i]) {
				return true, nil
			}
		}
		if ended {
			return false, nil
		}
		select {
		case <-changed:
		case <-proc.Done():
		case <-ctx.Done():
			return false, fmt.Errorf("following tally run: %w", context.Cause(ctx))
		}
	}
}

// Until waits until the job has entered a phase.
func (r *Run) Until(ctx context.Context, phase requester.Phase) (requester.Event, error) {
	var seen requester.Event
	ok, err := r.Follow(ctx, func(e requester.Event, _ time.Time) bool { seen = e; return e.Entered && e.Phase == phase })
	if err == nil && !ok {
		err = r.p.Process().fail(fmt.Sprintf("waiting until the job is %s", phase), fmt.Errorf("it ended in phase %q", seen.Phase))
	}
	return seen, err
}

// Outcome waits for the end of the process and reads how the job ended. A job that failed is no error here if its
// program said how.
func (r *Run) Outcome(ctx context.Context) (o requester.Outcome, code int, err error) {
	if code, err = r.p.Process().Wait(ctx); err != nil {
		return o, code, err
	}
	out := bytes.Join(r.p.Process().Output(), []byte("\n"))
	if err := json.Unmarshal(out, &o); err != nil {
		return o, code, r.p.Process().fail(fmt.Sprintf("tally run ended with exit code %d", code), err)
	}
	return o, code, nil
}

// Kill ends the process as a crash would.
func (r *Run) Kill() error { return r.p.Process().Kill() }
