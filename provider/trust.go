package provider

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Trust is whose verdicts a provider accepts. Nobody's: it takes no jobs with disputes.
type Trust struct {
	Attesters []peer.ID
	Payees    []chain.Address // who may get the cost of a dispute: a requester that got it could dispute for nothing
	LeastBps  uint16          // of the price, its own if no verdict comes
	MostUNTX  uint64          // of its stake, that a verdict on a lot may take
}

// keys are the attesters' in the contracts' words.
func (t Trust) keys() (all []plutus.PublicKey) {
	for _, id := range t.Attesters {
		if k, err := (market.Attester{Peer: id}).Key(); err == nil {
			all = append(all, plutus.PublicKey(k))
		}
	}
	return all
}

// trusted refuses disputes that others would decide than those on the list, or that would cost more than the bond.
func (d *Daemon) trusted(req market.QuoteRequest) error {
	if req.Disputes == nil {
		return nil
	}
	q, t, p := req.Disputes, d.cfg.Trust, d.Contracts.Params
	for _, a := range q.Attesters {
		if !slices.Contains(t.Attesters, a.Peer) {
			return refuse(market.RefusedTerms, "attester %s is not on this provider's list", a.Peer)
		}
	}
	price := d.price(req)
	switch {
	case !slices.Contains(t.Payees, q.Payee):
		return refuse(market.RefusedTerms, "%s is not on this provider's list of who may get the cost of a dispute", q.Payee)
	case q.ShareBps < t.LeastBps:
		return refuse(market.RefusedTerms, "%d ten-thousandths of the price without a verdict, this provider wants %d", q.ShareBps, t.LeastBps)
	case q.StakeUNTX > t.MostUNTX:
		return refuse(market.RefusedTerms, "a verdict could take %s NTX of the stake, this provider puts %s at risk in a job", market.FormatNTX(q.StakeUNTX), market.FormatNTX(t.MostUNTX))
	case uint64(q.Verdict) < p.MinVerdictMS || uint64(q.Verdict) > p.MaxVerdictMS:
		return refuse(market.RefusedContracts, "a verdict window of %s is outside of what the contracts allow", q.Verdict)
	case !q.Covered(price, d.cfg.BondBps):
		return refuse(market.RefusedTerms, "losing a dispute would cost more than the bond of %s NTX", market.FormatNTX(market.Bond(price, d.cfg.BondBps)))
	case req.Shards > q.MostShards(req.Timeouts.Run):
		return refuse(market.RefusedTerms, "%d shards cannot be run again in a verdict window of %s", req.Shards, q.Verdict)
	}
	return nil
}

// grant lets the requester fetch a bundle, and the job's attesters, who hold what was not served against its provider.
func (j *job) grant(root market.Hash) {
	if root.IsZero() {
		return
	}
	j.d.Files.Grant(root, j.res.Requester)
	j.toAttesters(root)
}

// grantInputs lets the attesters have what the shards were given, should the requester keep it from them.
func (j *job) grantInputs() {
	j.toAttesters(j.terms.Program)
	for _, s := range j.lot.Shards {
		j.toAttesters(s.Input)
	}
}

func (j *job) toAttesters(root market.Hash) {
	if j.terms.Disputes == nil || root.IsZero() {
		return
	}
	for _, a := range j.terms.Disputes.Attesters {
		j.d.Files.Grant(root, a.Peer)
	}
}

// attested finds a job of which a peer is an attester; otherwise the error is the one given.
func (d *Daemon) attested(ctx context.Context, from peer.ID, id market.JobID, no error) (record, error) {
	r, t, err := d.agreed(ctx, id)
	if err != nil || t.Disputes == nil {
		return r, no
	}
	if _, yes := t.Disputes.Attester(from); !yes {
		return r, no
	}
	return r, nil
}

// agreed are a witnessed job's record and terms.
func (d *Daemon) agreed(ctx context.Context, id market.JobID) (r record, t market.Terms, err error) {
	r, ok, err := d.store.job(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: no job %s", ErrStore, id)
	}
	if err != nil {
		return r, t, err
	}
	res, _, err := d.store.reservation(ctx, r.Reservation)
	if err != nil {
		return r, t, err
	}
	t, err = market.DecodeTerms(res.Terms)
	return r, t, err
}

// Evidence is what attesters are asked with about a disputed lot of this provider's, and the attesters.
func (d *Daemon) Evidence(ctx context.Context, k escrow.Key) (market.VerdictRequest, []market.Attester, error) {
	r, t, err := d.agreed(ctx, market.JobID(k.Job))
	if err != nil || t.Disputes == nil {
		return market.VerdictRequest{}, nil, err
	}
	terms, err := t.Encode()
	return market.VerdictRequest{Job: r.Job, Provider: d.id, Terms: terms, Result: r.Result}, t.Disputes.Attesters, err
}
