package submit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallycompute/tally/chain"
)

// How long Land waits before it hands in again what nobody answered for: the first time, and at most.
const (
	minPause = 200 * time.Millisecond
	maxPause = 15 * time.Second
)

// Progress is told how a transaction fares: how many confirmations it has, and, while it has none, what became of it when
// it was handed in last.
type Progress func(depth uint64, o chain.Outcome, err error)

// Land hands in the same bytes until a block that is so many confirmations deep has them, after a lost connection and after
// a rollback too, or until they cannot get into the chain any more: then it returns the chain.SubmitError. 0 confirmations:
// until the node has taken them.
func (s *Submitter) Land(ctx context.Context, raw []byte, confirmations uint64) error {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	pause := minPause
	for {
		changed := s.Chain.Changed()
		depth, err := s.Chain.Confirmations(ctx, tx.ID())
		if err != nil {
			return fmt.Errorf("submit %s: %w", tx.ID(), err)
		}
		if depth > 0 {
			s.tell(depth, chain.Included, nil)
			if depth >= confirmations {
				return nil
			}
		}
		var retry <-chan time.Time
		if depth == 0 {
			o, err := s.Submit(ctx, raw)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if o == chain.Included { // its block came in between
				continue
			}
			s.tell(0, o, err)
			var e *chain.SubmitError
			switch {
			case err == nil && confirmations == 0:
				return nil
			case err == nil:
				pause = minPause
			case !errors.As(err, &e) || e.Outcome.Lost():
				return err
			default:
				retry = time.After(pause)
				pause = min(2*pause, maxPause)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-retry:
		}
	}
}

func (s *Submitter) tell(depth uint64, o chain.Outcome, err error) {
	if s.Progress != nil {
		s.Progress(depth, o, err)
	}
}
