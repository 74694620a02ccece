package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
)

// goodbye is a collective that ends in order.
func goodbye(context.Context, int, <-chan struct{}) error { return nil }

// TestCollective: the container gets its socket, the session its place, the result its traffic.
func TestCollective(t *testing.T) {
	w := newWorld(t)
	w.rings.run = goodbye
	running, noted := make(chan struct{}), make(chan struct{})
	w.program = func(_ context.Context, task executor.Task, p probe.Process) int {
		if task.SocketDir == "" || p.Getenv("TALLY_SOCKET") == "" {
			return 9
		}
		close(running)
		<-noted
		return 0
	}
	d := w.quoted(w.request(market.Training)).drawUp()
	d.terms.Task.Shards, d.terms.Task.Least, d.terms.Ring = 2, 1, []uint32{1, 0}
	d.terms.Lots = append(d.terms.Lots, market.LotTerms{
		Provider: w.other.id, Addrs: []string{"/ip4/127.0.0.1/tcp/2"}, Payment: w.other.Address, PriceUNTX: 500,
		BondInput: w.other.Coin(0, chain.Value{}).Ref, Shards: []market.ShardTerms{{Index: 1, Input: w.files.add(nil)}},
	})
	d.build().balance().witness()
	w.must(w.other.Sign(d.tx))
	d.submit()
	<-running
	w.eventually("the requester is told how the others are reached", func() bool {
		return d.status().Shards[0].Message == "rank 0 is reached over QUIC"
	})
	close(noted)
	r := d.result()
	if want := []market.Traffic{{Shard: 1, Sent: 10, Received: 20}}; !r.OK() || !slices.Equal(r.Shards[0].Traffic, want) {
		t.Fatalf("%+v", r)
	}
	spec := w.rings.opened[0]
	if len(spec.Peers) != 2 || spec.Peers[1].ID != w.prov.id || spec.Rank != 1 || spec.Least != 1 || spec.Job != d.job() || spec.Run != d.terms.Timeouts.Run.Duration() {
		t.Errorf("the session was %+v", spec)
	}
	if w.rings.attempts() != 1 || w.rings.closed != 1 {
		t.Errorf("%d sessions opened, %d closed", w.rings.attempts(), w.rings.closed)
	}
}

// TestLostPeer: a collective that broke because of another machine starts over, with a new container and no old outputs.
func TestLostPeer(t *testing.T) {
	w := newWorld(t)
	var starts atomic.Int32
	w.rings.run = func(ctx context.Context, attempt int, _ <-chan struct{}) error {
		if attempt == 1 {
			for starts.Load() == 0 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			return fmt.Errorf("%w: silent for 10 s", ErrLostPeer)
		}
		return nil
	}
	w.program = func(ctx context.Context, _ executor.Task, p probe.Process) int {
		touch(p.Path(fmt.Sprint("/out/attempt-", starts.Load()+1)))
		if starts.Add(1) == 1 {
			<-ctx.Done()
			return 1
		}
		return 0
	}
	d := w.opened(market.Training)
	r := d.result()
	files := w.files.get(r.Shards[0].Output)
	if _, ok := files["attempt-2"]; !r.OK() || !ok || len(files) != 1 {
		t.Errorf("%+v with %v", r, files)
	}
	if w.rings.attempts() != 2 {
		t.Errorf("%d attempts", w.rings.attempts())
	}
}

// TestRankFails: a program that fails ends the collective, and is not tried again.
func TestRankFails(t *testing.T) {
	w := newWorld(t)
	w.rings.run = func(ctx context.Context, _ int, ended <-chan struct{}) error {
		select {
		case <-ended:
			return errGuest
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.program = func(_ context.Context, _ executor.Task, p probe.Process) int {
		fmt.Fprintln(p.Output, "ValueError: no")
		return 1
	}
	d := w.opened(market.Training)
	r := d.result()
	if s := r.Shards[0]; s.ExitCode != 1 || !strings.Contains(s.Message, "ValueError: no") {
		t.Errorf("%+v", r)
	}
	if w.rings.attempts() != 1 {
		t.Errorf("%d attempts", w.rings.attempts())
	}
}

// TestPeersStayAway: a collective that never comes to its end is no fault of this provider: its receipt says so in time
// to be committed.
func TestPeersStayAway(t *testing.T) {
	w := newWorld(t)
	w.rings.run = func(ctx context.Context, _ int, _ <-chan struct{}) error {
		<-ctx.Done()
		return ctx.Err()
	}
	w.program = func(ctx context.Context, _ executor.Task, _ probe.Process) int { <-ctx.Done(); return 1 }
	d := w.opened(market.Training)
	w.eventually("a container", func() bool { return d.record().Phase == market.PhaseRunning })
	w.until(d.terms.CommitBy-chain.Time(policy.CommitLead)+1000, 20)
	r := d.result()
	if s := r.Shards[0]; s.ExitCode != exitRuntime || !strings.Contains(s.Message, "did not come to its end") {
		t.Errorf("%+v", r)
	}
	if w.containers() > 0 {
		t.Error("the container still runs")
	}
}

// TestRestartAfterGoodbye: a daemon that is killed between the collective's end and the result takes the container's
// word; one that is killed before it starts over.
func TestRestartAfterGoodbye(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	var starts atomic.Int32
	w.rings.run = func(ctx context.Context, attempt int, _ <-chan struct{}) error {
		if attempt == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	w.program = func(ctx context.Context, _ executor.Task, _ probe.Process) int {
		starts.Add(1)
		select {
		case <-release:
			return 0
		case <-ctx.Done():
			return 1
		}
	}
	d := w.opened(market.Training)
	w.eventually("a container", func() bool { return starts.Load() == 1 })
	w.restart()
	w.eventually("a second container", func() bool { return starts.Load() == 2 })
	w.eventually("the collective's end", func() bool {
		_, ok, err := w.d.store.traffic(t.Context(), d.job(), 0)
		return ok && err == nil
	})
	w.restart()
	close(release)
	if r := d.result(); !r.OK() {
		t.Errorf("%+v", r)
	}
	if starts.Load() != 2 || w.rings.attempts() != 2 {
		t.Errorf("%d containers, %d collectives", starts.Load(), w.rings.attempts())
	}
}

// TestNotJoined: the result of a shard that could not join its collective says why, which its program cannot know.
func TestNotJoined(t *testing.T) {
	w := newWorld(t)
	w.rings.run = func(context.Context, int, <-chan struct{}) error {
		return fmt.Errorf("%w: rank 0 and rank 1 reach each other only through a relay", ErrNotJoined)
	}
	w.program = func(context.Context, executor.Task, probe.Process) int { return 1 }
	d := w.opened(market.Training)
	if r := d.result(); r.OK() || !strings.Contains(r.Shards[0].Message, "rank 0 and rank 1 reach each other only through a relay") {
		t.Errorf("%+v", r)
	}
	if w.rings.attempts() != 1 {
		t.Errorf("%d attempts", w.rings.attempts())
	}
}
