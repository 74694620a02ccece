package provider

import (
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// maxRanks bounds a collective: a result names what was exchanged with each other rank, of which it holds 64.
const maxRanks = 65

// feasible refuses terms under which this provider could lose its bond through no fault of its own: too little time
// to decline or to commit, or a task that cannot be run at all.
func (d *Daemon) feasible(t market.Terms, req market.QuoteRequest) error {
	p := d.cfg.Policy
	lead, last := int64(t.DeclineBy-t.LockUntil), int64(t.CommitBy-t.DeclineBy)
	switch {
	case lead < int64(t.Timeouts.Start):
		return refuse(market.RefusedTerms, "decline by %d ms after the lock, while inputs may take %s", lead, t.Timeouts.Start)
	case last < int64(t.Timeouts.Run)+p.CommitLead:
		return refuse(market.RefusedTerms, "commit by %d ms after the inputs: the program may take %s, and committing %s",
			last, t.Timeouts.Run, market.Millis(p.CommitLead))
	case t.Task.Collective != (req.Kind == market.Training):
		return refuse(market.RefusedTerms, "a collective of a %s job", req.Kind)
	}
	if t.Task.Collective {
		if err := d.collective(t); err != nil {
			return err
		}
	}
	lot, _ := t.LotOf(d.id)
	for _, st := range lot.Shards {
		s := &shard{j: &job{d: d, terms: t, lot: lot}, index: st.Index}
		task, err := s.task(s.anyMounts(), t.Task.Collective)
		if err == nil {
			err = task.WithDefaults().Validate()
		}
		if err != nil {
			return refuse(market.RefusedTerms, "shard %d cannot be run: %v", st.Index, err)
		}
	}
	return nil
}

func (d *Daemon) collective(t market.Terms) error {
	if t.Task.Shards > maxRanks {
		return refuse(market.RefusedTerms, "a collective of %d shards, at most %d", t.Task.Shards, maxRanks)
	}
	for _, l := range t.Lots {
		if len(l.Shards) != 1 {
			return refuse(market.RefusedTerms, "%d shards of a collective with provider %s", len(l.Shards), l.Provider)
		}
	}
	if _, err := ranks(t); err != nil {
		return refuse(market.RefusedTerms, "%v", err)
	}
	return nil
}

// ranks are the peers of a collective, in the order of its ring.
func ranks(t market.Terms) ([]peer.AddrInfo, error) {
	var all []peer.AddrInfo
	for _, index := range t.Ring {
		id, ok := t.ProviderOf(index)
		if !ok {
			return nil, errors.New("a shard of the ring has no provider")
		}
		lot, _ := t.LotOf(id)
		info := peer.AddrInfo{ID: id}
		for _, a := range lot.Addrs {
			m, err := multiaddr.NewMultiaddr(a)
			if err != nil {
				return nil, err
			}
			info.Addrs = append(info.Addrs, m)
		}
		all = append(all, info)
	}
	return all, nil
}

// anyMounts stand for the mounts of a shard before its inputs are here.
func (s *shard) anyMounts() []executor.Mount {
	var all []executor.Mount
	for _, target := range s.j.terms.Task.Mounts {
		all = append(all, executor.Mount{Source: s.j.d.SDK, Target: target})
	}
	return all
}
