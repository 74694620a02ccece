package market

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// VerdictRequest asks an attester for its word on a disputed lot. Whoever asks is one of the lot's parties.
type VerdictRequest struct {
	Job      JobID   `json:"job"`
	Provider peer.ID `json:"provider"` // whose lot
	Terms    []byte  `json:"terms"`    // Terms.Encode
	Result   []byte  `json:"result"`   // signed, as it was committed; empty: the asker does not have it
}

func (v VerdictRequest) limit() int { return MaxTermsBytes + Result{}.limit() + sealOverhead + 512 }

// Validate checks v's form; the terms and the result are for the attester to open.
func (v VerdictRequest) Validate() error {
	if len(v.Terms) == 0 || len(v.Terms) > MaxTermsBytes || len(v.Result) > (Result{}).limit()+sealOverhead {
		return malformed("verdict request: terms of %d bytes, result of %d", len(v.Terms), len(v.Result))
	}
	if _, err := peerKey(v.Provider); err != nil {
		return fmt.Errorf("verdict request: %w", err)
	}
	return nil
}

// Opinion is an attester's answer: its signature under a verdict, or, without one, how far it is.
type Opinion struct {
	Lot       chain.OutRef `json:"lot"` // the output that the signature is about
	AwardUNTX uint64       `json:"award_untx"`
	SlashUNTX uint64       `json:"slash_untx"`
	TakenUNTX uint64       `json:"taken_untx"` // of the provider's stakes
	Signature []byte       `json:"signature"`  // of plutus.Contracts.Attest; empty: not decided yet
	Sentence  string       `json:"sentence"`   // why, or what it waits for
}

func (o Opinion) limit() int { return 2 << 10 }

// Validate checks o's form; whether the signature holds is for who knows the lot.
func (o Opinion) Validate() error {
	if len(o.Signature) != 0 && len(o.Signature) != 64 || !plain(o.Sentence, 1024) || o.AwardUNTX > maxPrice || o.SlashUNTX > maxPrice || o.TakenUNTX > maxPrice {
		return malformed("opinion: signature of %d bytes, award %d, slash %d, of stakes %d", len(o.Signature), o.AwardUNTX, o.SlashUNTX, o.TakenUNTX)
	}
	return nil
}

// Decided says whether o is more than a promise.
func (o Opinion) Decided() bool { return len(o.Signature) == 64 }
