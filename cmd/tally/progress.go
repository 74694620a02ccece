package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
)

// watcher tells of a job under way: a line per change, the newest measurements on one live line of a terminal. With
// JSON it is an object per event.
type watcher struct {
	a      *app
	said   map[uint32]string // of a shard, last
	newest map[uint32]string // measurement
	told   float64           // when measurements were last told, in seconds of the job
}

func (a *app) watcher() *watcher {
	return &watcher{a: a, said: map[uint32]string{}, newest: map[uint32]string{}}
}

// between is how often measurements are told where there is no terminal.
const between = 10 * time.Second

// event tells one.
func (w *watcher) event(e requester.Event) {
	if w.a.output == "json" {
		w.a.object(e)
		return
	}
	switch {
	case e.Shard != nil && e.ShardPhase != "":
		w.shard(e)
	case e.Entered:
		if e.Phase != requester.Running {
			w.clear()
		}
		w.line(e.Seconds, string(e.Phase), e.Message)
		if e.Tx != nil && e.Phase == requester.Submitted {
			w.line(e.Seconds, "", "tx "+e.Tx.String())
		}
	case e.Message != "":
		who := ""
		if e.Provider != "" && !strings.Contains(e.Message, e.Provider.String()) {
			who = "provider " + short(e.Provider.String()) + ": "
		}
		w.line(e.Seconds, "", who+e.Message)
	}
}

func (w *watcher) shard(e requester.Event) {
	i := *e.Shard
	if now := strings.TrimSpace(string(e.ShardPhase) + "  " + e.Message); w.said[i] != now {
		w.said[i] = now
		w.line(e.Seconds, "  shard "+strconv.Itoa(int(i)), now)
	}
	if n := len(e.Metrics); n > 0 && e.ShardPhase == market.PhaseRunning {
		w.newest[i] = measured(e.Metrics[n-1])
	} else if e.ShardPhase != market.PhaseRunning {
		delete(w.newest, i)
	}
	var all []string
	for _, s := range slices.Sorted(maps.Keys(w.newest)) {
		all = append(all, fmt.Sprintf("%d: %s", s, w.newest[s]))
	}
	text := strings.Join(all, " | ")
	if w.a.console != nil && w.a.console.terminal() {
		if text != "" {
			text = fmt.Sprintf("%7.1fs  %s", e.Seconds, text)
		}
		w.a.live(text)
	} else if text != "" && e.Seconds-w.told >= between.Seconds() {
		w.told = e.Seconds
		w.line(e.Seconds, "", text)
	}
}

func (w *watcher) line(seconds float64, what, text string) {
	w.a.note("%s", strings.TrimRight(fmt.Sprintf("%7.1fs  %-10s  %s", seconds, what, oneLine(text)), " "))
}

// clear removes the live line.
func (w *watcher) clear() {
	clear(w.newest)
	w.a.live("")
}

// mostMeasures is how many of a measurement's numbers are shown, beside the step.
const mostMeasures = 1

// measured is a line of a program's metrics in short: its step and its first number.
func measured(line string) string {
	var m map[string]any
	if json.Unmarshal([]byte(line), &m) != nil {
		return clip(oneLine(line), 40)
	}
	var parts []string
	if step, ok := m["step"].(float64); ok {
		parts = append(parts, "step "+clip(strconv.FormatFloat(step, 'f', -1, 64), 20))
	}
	for _, k := range measures(m) {
		parts = append(parts, clip(oneLine(k), 20)+" "+strconv.FormatFloat(m[k].(float64), 'g', 4, 64))
	}
	return strings.Join(parts, " ")
}

// measures are the names of what was measured: a loss and an accuracy before others, clocks and counters not at all.
func measures(m map[string]any) []string {
	var names []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if _, isNumber := m[k].(float64); isNumber && k != "step" && k != "time" && k != "epoch" && k != "rows" {
			names = append(names, k)
		}
	}
	rank := func(k string) int {
		switch {
		case strings.Contains(k, "loss"):
			return 0
		case strings.Contains(k, "acc"):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	return names[:min(len(names), mostMeasures)]
}

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// oneLine makes a provider's text safe for a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}
