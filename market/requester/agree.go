package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// agree proposes the opening to every provider at once and adds their witnesses. One no ends the job.
func (j *job) agree(ctx context.Context) error {
	if j.rec.Tx == nil {
		if err := j.build(ctx); err != nil {
			return err
		}
	}
	if err := j.inTime(ctx); err != nil {
		return err
	}
	match, cancel := context.WithTimeout(ctx, j.rec.Spec.Job.Timeouts.Match.Duration())
	defer cancel()
	var mu sync.Mutex
	no := map[peer.ID]error{}
	witnesses := make([]market.Witness, len(j.rec.Lots))
	each(j.rec.Lots, func(i int, l lotRecord) {
		w, err := j.propose(match, l)
		mu.Lock()
		defer mu.Unlock()
		if witnesses[i] = w; err != nil {
			no[l.Offer.Peer] = fmt.Errorf("provider %s: %w", l.Offer.Peer, err)
			cancel() // the others need not be waited for
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(no) > 0 {
		return refusals(firstCause(no))
	}
	for i, l := range j.rec.Lots {
		if err := j.addWitness(l, witnesses[i]); err != nil {
			return fmt.Errorf("%w: provider %s: %w", ErrRefused, l.Offer.Peer, err)
		}
	}
	if missing := slices.DeleteFunc(j.tx.MissingWitnesses(), func(k chain.KeyHash) bool { return k == j.r.key }); len(missing) > 0 {
		return fmt.Errorf("%w: keys %v have not signed", ErrRefused, missing)
	}
	j.rec.Tx = j.tx.Bytes()
	return j.enter(ctx, Agreed, fmt.Sprintf("%d witnesses", len(witnesses)))
}

// propose asks one provider for its witness, again if the call breaks off: the same proposal gets the same answer.
func (j *job) propose(ctx context.Context, l lotRecord) (w market.Witness, err error) {
	p := market.TermsProposal{Reservation: l.Reservation, Terms: j.rec.Terms, Tx: j.rec.Tx, Inputs: j.rec.Resolved}
	for range 3 {
		if err = j.r.Sellers.Connect(ctx, l.Offer.Peer, l.Offer.Addrs); err == nil {
			w, err = j.r.Sellers.Propose(ctx, l.Offer.Peer, p)
		}
		if err == nil || isRefusal(err) {
			return w, err
		}
		if waitErr := wait(ctx, j.r.cfg.Poll, nil); waitErr != nil {
			return w, err
		}
	}
	return w, err
}

// addWitness takes a provider's signature if it is of the key that its lot pays, over this very transaction.
func (j *job) addWitness(l lotRecord, w market.Witness) error {
	key, _ := l.Offer.Payment.Key()
	if w.Tx != j.tx.ID() || chain.HashKey(w.VKey) != key {
		return fmt.Errorf("it signed transaction %s with key %s, wanted were %s and %s", w.Tx, chain.HashKey(w.VKey), j.tx.ID(), key)
	}
	return j.tx.AddWitness(w.VKey, w.Signature)
}

// sign signs last, and records the signed bytes before anybody else gets them.
func (j *job) sign(ctx context.Context) error {
	if err := j.inTime(ctx); err != nil {
		return err
	}
	if err := j.r.Purse.Sign(j.tx, j.checkBody); err != nil {
		return fmt.Errorf("sign the opening: %w", err)
	}
	if missing := j.tx.MissingWitnesses(); len(missing) > 0 {
		return fmt.Errorf("%w: keys %v have not signed", ErrRefused, missing)
	}
	j.rec.Tx = j.tx.Bytes()
	return j.enter(ctx, Signed, market.FormatNTX(j.terms.TotalUNTX())+" NTX")
}

// inTime refuses an opening that has expired before it was signed.
func (j *job) inTime(ctx context.Context) error {
	now, err := j.r.now(ctx)
	if err != nil {
		return err
	}
	if now >= j.terms.LockUntil {
		return fmt.Errorf("%w before it was signed", ErrLockExpired)
	}
	return nil
}

func isRefusal(err error) bool {
	var r market.Refusal
	var p *market.Refusal
	return errors.As(err, &r) || errors.As(err, &p)
}

// firstCause leaves out those who were only not waited for.
func firstCause(no map[peer.ID]error) map[peer.ID]error {
	causes := map[peer.ID]error{}
	for id, err := range no {
		if !errors.Is(err, context.Canceled) {
			causes[id] = err
		}
	}
	if len(causes) == 0 {
		return no
	}
	return causes
}
