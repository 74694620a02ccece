package chain_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

// mainnet is Cardano mainnet's clock: Byron's slots of 20 s until Shelley began, at slot 4492800 on 2020-07-29 (from
// its genesis files), with empty eras as a private network's node reports them.
func mainnet() chain.Clock {
	return chain.Clock{SystemStart: 1506203091000, Eras: []chain.Era{
		{SlotLength: 20000}, {FirstSlot: 4492800, Start: 89856000000, SlotLength: 1000}, {FirstSlot: 4492800, Start: 89856000000, SlotLength: 1000},
	}}
}

func TestClock(t *testing.T) {
	c := mainnet()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for slot, want := range map[chain.Slot]chain.Time{0: 1506203091000, 4492799: 1596059071000, 4492800: 1596059091000, 4492801: 1596059092000} {
		if got := c.SlotToTime(slot); got != want {
			t.Errorf("slot %d: %d, want %d", slot, got, want)
		}
		for _, ms := range []chain.Time{0, 1, 999} {
			if got, err := c.TimeToSlot(want + ms); err != nil || got != slot {
				t.Errorf("time %d: slot %d, want %d: %v", want+ms, got, slot, err)
			}
		}
	}
	if _, err := c.TimeToSlot(c.SystemStart - 1); !errors.Is(err, chain.ErrHorizon) {
		t.Errorf("before the start: %v", err)
	}
	c.Horizon = 4492900
	if s, err := c.TimeToSlot(c.SlotToTime(4492900) - 1); err != nil || s != 4492899 {
		t.Errorf("at the horizon: %d, %v", s, err)
	}
	if _, err := c.TimeToSlot(c.SlotToTime(4492900)); !errors.Is(err, chain.ErrHorizon) {
		t.Errorf("past the horizon: %v", err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back chain.Clock
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("from JSON %+v: %v", back, err)
	}
	for name, bad := range map[string]chain.Clock{
		"no eras": {}, "no slots": {Eras: []chain.Era{{}}},
		"gap":  {Eras: []chain.Era{{SlotLength: 1}, {FirstSlot: 5, Start: 6, SlotLength: 1}}},
		"back": {Eras: []chain.Era{{FirstSlot: 5, SlotLength: 1}, {FirstSlot: 4, SlotLength: 1}}},
	} {
		if err := bad.Validate(); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClockBounds: a slot's time leads back to it, and CeilSlot is the first slot not before a time.
func TestClockBounds(t *testing.T) {
	c := mainnet()
	rapid.Check(t, func(t *rapid.T) {
		s := chain.Slot(rapid.Uint64Range(0, 1<<32).Draw(t, "slot"))
		at := c.SlotToTime(s)
		if got, err := c.TimeToSlot(at); err != nil || got != s {
			t.Fatalf("slot %d comes back as %d: %v", s, got, err)
		}
		at += chain.Time(rapid.Int64Range(0, 30000).Draw(t, "later"))
		got, err := c.CeilSlot(at)
		if err != nil || c.SlotToTime(got) < at || got > 0 && c.SlotToTime(got-1) >= at {
			t.Fatalf("first slot from %d on is not %d: %v", at, got, err)
		}
	})
}
