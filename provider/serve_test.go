package provider

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest/probe"
	"github.com/tallycompute/tally/market"
)

func TestReceipt(t *testing.T) {
	w := newWorld(t)
	d := w.opened(market.General)
	d.result()
	sign := func(change func(*market.Receipt)) []byte {
		r := market.Receipt{
			Version: 1, Result: d.record().Result, Requester: w.req.id, At: w.ledger.Now(), Accepted: true, PriceUNTX: d.quote.PriceUNTX,
		}
		change(&r)
		b, err := market.SignReceipt(r, w.req.key)
		w.must(err)
		return b
	}
	good := sign(func(*market.Receipt) {})
	refusal(t, w.d.Receipt(t.Context(), stranger(), good), market.RefusedOther, "between others")
	refusal(t, w.d.Receipt(t.Context(), w.req.id, []byte{1}), market.RefusedOther, "")
	forged := sign(func(r *market.Receipt) {
		res, err := market.ReadResult(r.Result)
		w.must(err)
		res.Shards[0].ExitCode = 1
		r.Result, err = market.SignResult(res, w.prov.key)
		w.must(err)
	})
	refusal(t, w.d.Receipt(t.Context(), w.req.id, forged), market.RefusedOther, "another result")
	w.must(w.d.Receipt(t.Context(), w.req.id, good))
	worse := sign(func(r *market.Receipt) { r.Accepted, r.Sentence, r.PriceUNTX = false, "changed my mind", 0 })
	refusal(t, w.d.Receipt(t.Context(), w.req.id, worse), market.RefusedOther, "accepted already")
	records, err := Records(t.Context(), w.db)
	if err != nil || len(records) != 1 || !bytes.Equal(records[0].Receipt, good) {
		t.Errorf("%+v, %v", records, err)
	}
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	w.program = func(_ context.Context, _ executor.Task, p probe.Process) int {
		fmt.Fprintln(p.Output, "hello")
		return 0
	}
	d := w.opened(market.General)
	d.result()
	var log bytes.Buffer
	if err := w.d.Logs(t.Context(), w.req.id, d.job(), 0, &log); err != nil || log.String() != "hello\n" {
		t.Errorf("%q, %v", log.String(), err)
	}
	refusal(t, w.d.Logs(t.Context(), w.req.id, d.job(), 7, &log), market.RefusedUnknown, "shard 7")
	refusal(t, w.d.Logs(t.Context(), stranger(), d.job(), 0, &log), market.RefusedUnknown, "")
	_, err := w.d.Status(t.Context(), stranger(), d.job())
	refusal(t, err, market.RefusedUnknown, "")
	w.must(w.d.Locked(t.Context(), w.req.id, market.Locked{Job: d.job()}))
}

// TestEngineAwayWhileRunning: an engine that does not answer for a while costs nothing but patience.
func TestEngineAwayWhileRunning(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	var starts atomic.Int32
	w.program = func(context.Context, executor.Task, probe.Process) int {
		starts.Add(1)
		<-release
		return 0
	}
	d := w.opened(market.General)
	w.eventually("a container", func() bool { return d.record().Phase == market.PhaseRunning && starts.Load() == 1 })
	w.engine.SetDown(true)
	close(release)
	w.restart()
	w.engine.SetDown(false)
	if r := d.result(); !r.OK() || starts.Load() != 1 {
		t.Errorf("%d starts, %+v", starts.Load(), r)
	}
}
