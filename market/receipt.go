package market

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// Receipt is the requester's signature under a provider's Result: both parties' word on how a lot ended.
type Receipt struct {
	Version   uint8      `json:"version"`
	Result    []byte     `json:"result"` // as SignResult wrote it
	Requester peer.ID    `json:"requester"`
	At        chain.Time `json:"at"`
	Accepted  bool       `json:"accepted"`
	Sentence  string     `json:"sentence"`   // why not, if not
	PriceUNTX uint64     `json:"price_untx"` // that is approved
}

func (r Receipt) limit() int { return Result{}.limit() + sealOverhead + 8<<10 }

// Validate checks r's form.
func (r Receipt) Validate() error {
	if r.Version != 1 || !plain(r.Sentence, MaxMessage) || r.At <= 0 || r.PriceUNTX > maxPrice || !r.Accepted && r.PriceUNTX > 0 {
		return malformed("receipt: version %d, accepted %t, %d µNTX", r.Version, r.Accepted, r.PriceUNTX)
	}
	if _, err := peerKey(r.Requester); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

// SignReceipt signs r with the requester's key.
func SignReceipt(r Receipt, key crypto.PrivKey) ([]byte, error) {
	r.Version = 1
	if _, err := ReadResult(r.Result); err != nil {
		return nil, err
	}
	return seal(domainReceipt, r, key, r.Requester)
}

// OpenReceipt reads a receipt and the result in it, and checks both signatures. Whether they are the parties of some
// job is for the caller to compare with its Terms.
func OpenReceipt(data []byte) (Receipt, Result, error) {
	r, err := unseal(domainReceipt, data, func(r Receipt) peer.ID { return r.Requester })
	if err != nil {
		return Receipt{}, Result{}, err
	}
	res, err := ReadResult(r.Result)
	if err != nil {
		return Receipt{}, Result{}, fmt.Errorf("receipt: %w", err)
	}
	return r, res, nil
}
