package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Condition is how well a node serves.
type Condition string

// The conditions.
const (
	Unasked     Condition = "not asked yet"
	Unreachable Condition = "unreachable"
	Foreign     Condition = "of another network"
	Syncing     Condition = "syncing" // its tip is old and moves on
	Stalled     Condition = "stalled" // its tip is old and stands still
	Ready       Condition = "ready"
)

// MaxSkew is how far the clocks of this machine and of the chain may differ before it is worth a warning: transactions
// are valid for a minute or so.
const MaxSkew = 5 * time.Second

// Health is how a node is doing, as of the last look.
type Health struct {
	Condition Condition
	Since     time.Time // when the condition began
	Looked    time.Time // when the node last answered
	Status              // its last answer
	// Skew is how far this machine's clock is ahead of the chain's blocks as they arrive, negative if behind; 0 if too
	// few have arrived to tell.
	Skew time.Duration
	Err  error // why it is not to be reached

	delays []time.Duration // of the last blocks that were new when they arrived
	warned bool            // of the skew
}

// look is one look at a node.
type look struct {
	at     time.Time
	status Status
	err    error
	seen   sightings
}

// notice is a change that a person may want to know of.
type notice struct {
	level slog.Level
	text  string
	args  []any
}

const keptDelays = 8

// next is the health after another look, and what changed.
func (h Health) next(l look) (Health, []notice) {
	var told []notice
	tell := func(level slog.Level, text string, args ...any) { told = append(told, notice{level, text, args}) }
	for _, r := range l.seen.rollbacks {
		tell(slog.LevelWarn, "the node switched to another fork", "from_slot", r.from.Slot, "to_slot", r.to.Slot)
	}
	if l.seen.lost > 0 && l.err == nil && h.Condition != Unreachable {
		tell(slog.LevelInfo, "the connection to the node was lost and made anew", "times", l.seen.lost)
	}
	before := h
	h.Err = l.err
	if l.err == nil {
		h.Looked, h.Status = l.at, l.status
		told = append(told, before.compare(h)...)
		h.judgeClock(l, tell)
	}
	h.Condition = before.condition(l)
	if h.Condition != before.Condition {
		h.Since = l.at
		level, text, args := h.change(before, l)
		tell(level, text, args...)
	}
	return h, told
}

func (h Health) condition(l look) Condition {
	switch {
	case errors.Is(l.err, ErrWrongNetwork):
		return Foreign
	case l.err != nil:
		return Unreachable
	case l.status.Age(l.at) <= l.status.Quiet():
		return Ready
	case h.Condition == Unasked || l.status.Tip != h.Tip:
		return Syncing
	case h.Condition == Syncing && l.at.Sub(h.Since) < l.status.Quiet():
		return Syncing // it may move yet
	}
	return Stalled
}

// change says in words what another condition means.
func (h Health) change(before Health, l look) (slog.Level, string, []any) {
	tip := []any{"slot", h.Tip.Slot, "height", h.Height, "age", h.Age(l.at).Round(time.Second)}
	switch h.Condition {
	case Foreign:
		return slog.LevelError, "the node is of another network", []any{"err", l.err}
	case Unreachable:
		return slog.LevelWarn, "the node cannot be reached", []any{"err", l.err}
	case Syncing:
		return slog.LevelWarn, "the node is behind and catching up", tip
	case Stalled:
		return slog.LevelWarn, "the node has no new blocks", tip
	}
	if before.Condition == Unasked {
		return slog.LevelInfo, "the node is ready", tip
	}
	return slog.LevelWarn, "the node is ready again", append(tip, "was", before.Condition, "for", l.at.Sub(before.Since).Round(time.Second))
}

// compare says what a node's answers have changed in.
func (h Health) compare(now Health) (told []notice) {
	if h.Looked.IsZero() {
		return nil
	}
	if now.Height < h.Height {
		told = append(told, notice{
			slog.LevelWarn, "the node's chain is shorter than it was: it rolled back, or syncs anew",
			[]any{"height", now.Height, "was", h.Height},
		})
	}
	if now.Era != h.Era || now.Params.ProtocolMajor != h.Params.ProtocolMajor {
		told = append(told, notice{slog.LevelWarn, "hard fork", []any{"era", now.Era, "protocol", now.Protocol(), "was", h.Protocol()}})
	}
	if was, is := h.slotLength(), now.slotLength(); is != was {
		told = append(told, notice{slog.LevelWarn, "slots have another length", []any{"length", is, "was", was}})
	}
	if changed := changedParams(h.Params, now.Params); len(changed) > 0 {
		told = append(told, notice{slog.LevelWarn, "protocol parameters changed, and the new ones are used", []any{"changed", strings.Join(changed, ", ")}})
	}
	return told
}

// changedParams lists the parameters that differ, with both values where they are short.
func changedParams(was, is chain.Params) (changed []string) {
	a, b := fields(was), fields(is)
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if before, after := string(a[k]), string(b[k]); before != after {
			if len(before)+len(after) > 100 {
				changed = append(changed, k)
				continue
			}
			changed = append(changed, fmt.Sprintf("%s %s → %s", k, before, after))
		}
	}
	return changed
}

func fields(p chain.Params) (m map[string]json.RawMessage) {
	b, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		panic(err) // numbers and texts only
	}
	return m
}

// judgeClock holds this machine's clock against the blocks: none can be of the future, and a new one is as old as it
// took to travel.
func (h *Health) judgeClock(l look, tell func(slog.Level, string, ...any)) {
	h.delays = slices.Clone(h.delays)
	for _, s := range l.seen.fresh {
		h.delays = append(h.delays, Status{Tip: s.point, Clock: l.status.Clock}.Age(s.at))
	}
	h.delays = h.delays[max(0, len(h.delays)-keptDelays):]
	var seen []time.Duration
	if len(h.delays) >= 3 {
		seen = h.delays
	}
	if age := l.status.Age(l.at); age < 0 {
		seen = append(slices.Clone(seen), age)
	}
	h.Skew = 0
	if len(seen) > 0 {
		h.Skew = slices.Min(seen)
	}
	off := h.Skew.Abs() > MaxSkew
	if off && !h.warned {
		tell(slog.LevelWarn, SkewText(h.Skew))
	}
	h.warned = off
}

// SkewText says in words what a skew means.
func SkewText(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("this machine's clock is %s behind the chain", skew.Abs().Round(time.Millisecond))
	}
	return fmt.Sprintf("this machine's clock is %s ahead of the chain, or blocks take that long to arrive", skew.Round(time.Millisecond))
}
