package attester

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Attesters are asked for their word.
type Attesters interface {
	Connect(ctx context.Context, to peer.ID, addrs []string) error
	Opinion(ctx context.Context, to peer.ID, r market.VerdictRequest) (market.Opinion, error)
}

// OwnLots are a party's own.
type OwnLots interface {
	Lots(ctx context.Context) ([]escrow.Lot, error)
}

// Panel asks the attesters of a party's disputed lots until enough have said the same. It keeps nothing on disk: what
// an attester has signed once it signs again.
type Panel struct {
	Contracts *plutus.Contracts
	Lots      OwnLots
	Attesters Attesters
	// Evidence is what attesters are asked with about a lot, and who they are; nobody: the lot is not this party's to ask
	// about.
	Evidence func(ctx context.Context, k escrow.Key) (market.VerdictRequest, []market.Attester, error)
	Every    time.Duration // between two rounds of questions
	CallTime time.Duration // for one question
	Log      *slog.Logger

	mu    sync.Mutex
	heard map[chain.OutRef]map[market.Key]market.Opinion
}

// Run asks until ctx ends, and returns ctx's error.
func (p *Panel) Run(ctx context.Context) error {
	for {
		if err := p.round(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("disputes: cannot ask, trying again", "error", err)
		}
		if err := sleep(ctx, p.Every); err != nil {
			return err
		}
	}
}

// round asks once about every disputed lot, each attester whose signature is missing.
func (p *Panel) round(ctx context.Context) error {
	lots, err := p.Lots.Lots(ctx)
	if err != nil {
		return err
	}
	live := map[chain.OutRef]bool{}
	for _, l := range lots {
		if l.Status != escrow.Disputed {
			continue
		}
		live[l.Ref] = true
		if p.verdict(l) != nil {
			continue
		}
		req, attesters, err := p.Evidence(ctx, l.Key)
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for _, a := range attesters {
			wg.Go(func() { p.ask(ctx, l, a, req) })
		}
		wg.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for ref := range p.heard {
		if !live[ref] {
			delete(p.heard, ref)
		}
	}
	return nil
}

func (p *Panel) ask(ctx context.Context, l escrow.Lot, a market.Attester, req market.VerdictRequest) {
	k, err := a.Key()
	if err != nil {
		return
	}
	p.mu.Lock()
	known := p.heard[l.Ref][k].Decided()
	p.mu.Unlock()
	if known {
		return
	}
	call, cancel := context.WithTimeout(ctx, p.CallTime)
	defer cancel()
	var o market.Opinion
	if err = p.Attesters.Connect(call, a.Peer, a.Addrs); err == nil {
		o, err = p.Attesters.Opinion(call, a.Peer, req)
	}
	if err != nil || o.Lot != l.Ref || !o.Decided() {
		p.Log.Debug("disputes: no word yet", "lot", l.Key, "attester", a.Peer, "says", o.Sentence, "error", err)
		return
	}
	p.Log.Info("disputes: an attester has decided", "lot", l.Key, "attester", a.Peer, "award_untx", o.AwardUNTX, "why", o.Sentence)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard == nil {
		p.heard = map[chain.OutRef]map[market.Key]market.Opinion{}
	}
	if p.heard[l.Ref] == nil {
		p.heard[l.Ref] = map[market.Key]market.Opinion{}
	}
	p.heard[l.Ref][k] = o
}

// verdict is what enough attesters have said of a lot; nil: they have not.
func (p *Panel) verdict(l escrow.Lot) *plutus.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	return escrow.Collect(p.Contracts, l, p.heard[l.Ref])
}

// Facts adds verdicts to what a party knows of its lots.
func (p *Panel) Facts(lot func(context.Context, escrow.Key) (escrow.Lot, error), own func(context.Context, escrow.Key) (escrow.Facts, error)) func(context.Context, escrow.Key) (escrow.Facts, error) {
	return func(ctx context.Context, k escrow.Key) (escrow.Facts, error) {
		f, err := own(ctx, k)
		if err != nil {
			return f, err
		}
		l, err := lot(ctx, k)
		if err == nil {
			f.Verdict = p.verdict(l)
		}
		return f, err
	}
}
