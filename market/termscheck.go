package market

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// maxPrice keeps sums of prices and bonds below 2^63.
const maxPrice = 1 << 52

// Validate checks that t says one thing: each shard is in one lot, each provider has one lot, deadlines are in order,
// rates possible. It does not know what was asked or offered; that is for the parties to compare.
func (t Terms) Validate() error {
	for _, check := range []func() error{t.checkHead, t.checkTimes, t.Task.validate, t.checkLots, t.checkRing, t.checkDisputes, t.checkVouchers} {
		if err := check(); err != nil {
			return fmt.Errorf("terms: %w", err)
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}

func (t Terms) checkHead() error {
	switch {
	case t.Version != TermsVersion:
		return malformed("version %d, this program reads %d", t.Version, TermsVersion)
	case !jobName.MatchString(t.Name):
		return malformed("name %.80q", t.Name)
	case t.Kind != Training && t.Kind != Inference && t.Kind != General:
		return malformed("kind %.80q", string(t.Kind))
	}
	if _, err := peerKey(t.Requester); err != nil {
		return err
	}
	return errors.Join(checkRates(t.BondBps, t.PenaltyBps), checkPayment(t.RequesterAddress, t.Magic))
}

func (t Terms) checkTimes() error {
	if err := t.Timeouts.validate(); err != nil {
		return err
	}
	switch {
	case t.Review <= 0 || t.Review > maxRun:
		return malformed("review window of %s", t.Review)
	case t.LockUntil <= 0 || t.LockUntil > 1<<52:
		return malformed("lock until %d", t.LockUntil)
	case t.DeclineBy <= t.LockUntil || t.CommitBy <= t.DeclineBy:
		return malformed("deadlines out of order: lock until %d, decline by %d, commit by %d", t.LockUntil, t.DeclineBy, t.CommitBy)
	}
	if _, soonest := Deadlines(t.LockUntil, t.Timeouts, 0); t.CommitBy < soonest || t.CommitBy > Day.After(soonest) {
		return malformed("commit by %d: start, run and collect end at %d", t.CommitBy, soonest)
	}
	return nil
}

func (t Timeouts) validate() error {
	for _, m := range []Millis{t.Match, t.Start, t.Run, t.Collect} {
		if m < Second || m > maxRun {
			return malformed("timeout of %s, want %s to %s", m, Second, maxRun)
		}
	}
	return nil
}

func (r Resources) validate() error {
	if r.MilliCPU == 0 || r.MemoryMiB == 0 || r.MilliCPU > 4096_000 || r.MemoryMiB > 1<<26 || r.DiskMiB > 1<<30 {
		return malformed("resources of %d mCPU, %d MiB memory, %d MiB disk", r.MilliCPU, r.MemoryMiB, r.DiskMiB)
	}
	return nil
}

func (t Task) validate() error {
	switch {
	case !isDigest(t.Image):
		return malformed("image %.80q is no config digest", string(t.Image))
	case t.Command == "" || len(t.Command) > maxCommand || strings.Contains(t.Command, "\x00"):
		return malformed("command of %d bytes", len(t.Command))
	case len(t.Envs) > maxEnvs || len(t.Mounts) > maxInputs:
		return malformed("%d variables and %d mounts, at most %d and %d", len(t.Envs), len(t.Mounts), maxEnvs, maxInputs)
	case t.Shards == 0 || t.Shards > MaxShards:
		return malformed("%d shards", t.Shards)
	case t.Spares > t.Shards/2 || t.Spares > 0 && (t.Least == 0 || t.ShardInput != ""):
		return malformed("%d spares among %d shards", t.Spares, t.Shards)
	case t.Least > t.Members() || t.Least == t.Shards || t.Least > 0 && !t.Collective:
		return malformed("at least %d of %d shards", t.Least, t.Members())
	case t.ShardInput != "" && !slices.Contains(t.Mounts, t.ShardInput):
		return malformed("shard input %.80q is no mount", t.ShardInput)
	}
	for k, v := range t.Envs {
		if !envName.MatchString(k) || reservedEnv(k) || len(v) > maxText || strings.Contains(v, "\x00") {
			return malformed("environment variable %.80q", k)
		}
	}
	for i, m := range t.Mounts {
		if _, bad := reservedBy(m); bad || !path.IsAbs(m) || path.Clean(m) != m || len(m) > maxText || strings.Contains(m, "\x00") {
			return malformed("mount %.80q", m)
		}
		for _, o := range t.Mounts[:i] {
			if within(m, o) || within(o, m) {
				return malformed("mounts %.80q and %.80q overlap", o, m)
			}
		}
	}
	return t.Resources.validate()
}

func (t Terms) checkLots() error {
	if len(t.Lots) == 0 || len(t.Lots) > int(t.Task.Shards) {
		return malformed("%d lots for %d shards", len(t.Lots), t.Task.Shards)
	}
	providers, inputs := map[peer.ID]bool{}, map[chain.OutRef]bool{t.Seed: true}
	shards := map[uint32]bool{}
	for i, l := range t.Lots {
		if _, err := peerKey(l.Provider); err != nil {
			return err
		}
		if err := checkPayment(l.Payment, t.Magic); err != nil {
			return err
		}
		switch {
		case providers[l.Provider] || l.Provider == t.Requester:
			return malformed("lot %d: provider %s twice, or the requester", i, l.Provider)
		case inputs[l.BondInput]:
			return malformed("lot %d: input %s twice", i, l.BondInput)
		case l.PriceUNTX == 0 || l.PriceUNTX > maxPrice:
			return malformed("lot %d: price of %d µNTX", i, l.PriceUNTX)
		case len(l.Addrs) > maxAddrs || len(l.Shards) == 0:
			return malformed("lot %d: %d addresses, %d shards", i, len(l.Addrs), len(l.Shards))
		}
		providers[l.Provider], inputs[l.BondInput] = true, true
		for _, a := range l.Addrs {
			if a == "" || !plain(a, maxAddr) {
				return malformed("lot %d: address %.40q", i, a)
			}
		}
		for j, s := range l.Shards {
			if s.Index >= t.Task.Shards || shards[s.Index] || j > 0 && s.Index < l.Shards[j-1].Index {
				return malformed("lot %d: shard %d of %d out of order, or twice", i, s.Index, t.Task.Shards)
			}
			if s.Input.IsZero() != (t.Task.ShardInput == "") {
				return malformed("shard %d: its input and the task's do not fit", s.Index)
			}
			shards[s.Index] = true
		}
	}
	if len(shards) != int(t.Task.Shards) {
		return malformed("%d of %d shards have a lot", len(shards), t.Task.Shards)
	}
	return nil
}

// checkRing wants every shard once in the ring of a collective, spares last, and no ring without one.
func (t Terms) checkRing() error {
	if !t.Task.Collective {
		if len(t.Ring) > 0 {
			return malformed("a ring without a collective")
		}
		return nil
	}
	sorted := slices.Sorted(slices.Values(t.Ring))
	for i, s := range sorted {
		if uint32(i) != s {
			return malformed("the ring is not each shard once")
		}
	}
	if len(sorted) != int(t.Task.Shards) {
		return malformed("%d of %d shards are in the ring", len(sorted), t.Task.Shards)
	}
	for _, s := range t.Ring[t.Task.Members():] {
		if !t.Task.Spare(s) {
			return malformed("shard %d is no spare, and among them in the ring", s)
		}
	}
	return nil
}
