package dht

import (
	"fmt"
	"sync"
	"time"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/tallycompute/tally/market"
)

// namespace is the first part of every key that market.OfferKey makes.
const namespace = "tally"

// validator lets only checked offers pass and prefers the highest sequence number. It tells whoever watches a key why values
// under it were refused.
type validator struct {
	check Check
	now   func() time.Time

	mu      sync.Mutex
	watches map[string][]*watch
}

var _ record.Validator = (*validator)(nil)

type watch struct{ last error }

func newValidator(check Check, now func() time.Time) *validator {
	return &validator{check: check, now: now, watches: map[string][]*watch{}}
}

// Validate implements record.Validator.
func (v *validator) Validate(key string, value []byte) error {
	_, err := v.sequence(key, value)
	if err != nil {
		v.mu.Lock()
		for _, w := range v.watches[key] {
			w.last = err
		}
		v.mu.Unlock()
	}
	return err
}

// Select implements record.Validator: the first of those with the highest sequence number.
func (v *validator) Select(key string, values [][]byte) (int, error) {
	best, bestSeq, found := 0, uint64(0), false
	var last error
	for i, value := range values {
		seq, err := v.sequence(key, value)
		if err != nil {
			last = err
			continue
		}
		if !found || seq > bestSeq {
			best, bestSeq, found = i, seq, true
		}
	}
	if !found {
		return 0, fmt.Errorf("%w: none of %d values is valid: %w", ErrBadOffer, len(values), last)
	}
	return best, nil
}

func (v *validator) sequence(key string, value []byte) (uint64, error) {
	p, err := market.PeerOfOfferKey(key)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	if len(value) > market.MaxOfferBytes {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrBadOffer, len(value), market.MaxOfferBytes)
	}
	seq, err := v.check(p, value, v.now())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	return seq, nil
}

// watch starts to remember why values under key are refused; stop returns the last reason, if any.
func (v *validator) watch(key string) (stop func() error) {
	w := &watch{}
	v.mu.Lock()
	v.watches[key] = append(v.watches[key], w)
	v.mu.Unlock()
	return func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		rest := v.watches[key][:0]
		for _, o := range v.watches[key] {
			if o != w {
				rest = append(rest, o)
			}
		}
		if v.watches[key] = rest; len(rest) == 0 {
			delete(v.watches, key)
		}
		return w.last
	}
}
