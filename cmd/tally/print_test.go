package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{span(nil), ""},
		{span([]uint32{3}), "3"},
		{span([]uint32{0, 1, 2, 5, 7, 8}), "0-2,5,7-8"},
		{percent(2000), "20 %"},
		{percent(1250), "12.5 %"},
		{percent(5), "0.05 %"},
		{ada(1), "0.000001"},
		{ada(40_000_000), "40"},
		{ada(1_500_000), "1.5"},
		{oneLine("a\x1b[31mb\nc\u202ed\u009be"), "a [31mb c d e"},
		{short("12D3KooWEn7i25GeL2BDjfGZJUA7mzNPyaYvFCatJpLVuc8aDsuR"), "…pLVuc8aDsuR"},
		{measured(`{"time": 17, "step": 120, "epoch": 1, "accuracy": 0.95518, "loss": 0.123456}`), "step 120 loss 0.1235"},
		{measured(`{"rows": 3, "note": "x"}`), ""},
		{measured("not JSON \x1b[2J"), "not JSON  [2J"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}

// The live line is the last one, whatever else is written.
func TestConsole(t *testing.T) {
	var out bytes.Buffer
	c := &console{w: &out, width: func() int { return 20 }}
	say := func(s string) {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	show := func(s string) {
		if err := c.show(s); err != nil {
			t.Fatal(err)
		}
	}
	say("one\n")
	show("step 1")
	say("two\n")
	show("step 1 of a great many more")
	show("")
	say("three\n")
	want := "one\n" + clearLine + "step 1" + clearLine + "two\nstep 1" + clearLine + "step 1 of a great m" + clearLine + "three\n"
	if out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
	out.Reset()
	c.width = func() int { return 0 }
	show("step 2")
	if out.Len() != 0 || c.terminal() {
		t.Errorf("a live line where there is no terminal: %q", out.String())
	}
}

// A shard's phase is told once, its measurements now and then; what a provider says is one safe line.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	w := (&app{stderr: &out, output: "table"}).watcher()
	shard := uint32(1)
	for i := range 50 {
		w.event(requester.Event{Seconds: float64(i), Shard: &shard, ShardPhase: market.PhaseRunning, Metrics: []string{`{"step":7,"loss":0.5}`}})
	}
	for range 2 { // what comes to be known while it runs is told once too
		w.event(requester.Event{Seconds: 49, Shard: &shard, ShardPhase: market.PhaseRunning, Message: "rank 0 is reached over QUIC"})
	}
	w.event(requester.Event{Seconds: 51, Shard: &shard, ShardPhase: market.PhaseFailed, Message: "line\nbreak"})
	w.event(requester.Event{Seconds: 52, Entered: true, Phase: requester.Gathered})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 8 || strings.Count(out.String(), "running") != 2 || strings.Count(out.String(), "running  rank 0 is reached over QUIC") != 1 || strings.Count(out.String(), "1: step 7 loss 0.5") != 4 ||
		!strings.HasSuffix(lines[6], "failed  line break") || !strings.HasSuffix(lines[7], "gathered") {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	out.Reset()
	w.a.output = "json"
	w.event(requester.Event{Phase: requester.Locked, Entered: true})
	w.a.note("by the way")
	if s := out.String(); !strings.HasPrefix(s, `{"id":`) || !strings.HasSuffix(s, "\n"+`{"note":"by the way"}`+"\n") {
		t.Errorf("%q", s)
	}
}

func TestTyped(t *testing.T) {
	if s, err := typed(func() (string, error) { return "y", nil }); s != "y" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	forever := make(chan struct{})
	defer close(forever)
	_, err := typed(func() (string, error) {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			return "", err
		}
		<-forever
		return "", nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestSparesAreShown: plans, outcomes and receipts say which shards are spares, and what became of them.
func TestSparesAreShown(t *testing.T) {
	var out bytes.Buffer
	printPlan(&out, market.Plan{Spares: 1, Chosen: []market.Choice{{Shards: []uint32{0}}, {Shards: []uint32{1}}, {Shards: []uint32{2}}}}, nil)
	printOutcome(&out, requester.Outcome{Lots: []requester.LotOutcome{
		{Shards: []uint32{2}, Spare: true, Accepted: true},
		{Shards: []uint32{3}, Spare: true, Accepted: true, StoodBy: true},
		{Shards: []uint32{4}, Spare: true, StoodBy: true, Rejected: "nobody saw it"},
	}}, false, nil)
	ended := market.ShardResult{Index: 0, Circle: &market.Circle{Members: []uint32{0, 2}, StoodBy: []uint32{3}}}
	stood := market.ShardResult{Index: 3, Circle: &market.Circle{StoodBy: []uint32{3}}}
	printReceipts(&out, []requester.SignedReceipt{{Shards: []uint32{0}, Result: market.Result{Shards: []market.ShardResult{ended, stood}}}})
	for _, want := range []string{
		"2 spare  ", "2 shards + 1 spare, together 0 NTX", "came in", "stood by", "nobody saw it",
		"it saw shards 0,2, and 3 standing by", "it stood by",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "1 spare  ") {
		t.Errorf("shard 1 is a spare in\n%s", out.String())
	}
}
