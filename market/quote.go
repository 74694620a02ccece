package market

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// QuoteRequest asks a provider for a firm price. It is not signed: the connection says who asks.
type QuoteRequest struct {
	Version          uint8            `json:"version"`
	Magic            uint32           `json:"magic"`
	Contracts        chain.ScriptHash `json:"contracts"`
	Nonce            [16]byte         `json:"nonce"`
	Requester        peer.ID          `json:"requester"`
	RequesterAddress chain.Address    `json:"requester_address"`
	OfferSequence    uint64           `json:"offer_sequence"` // of the provider's offer that is answered
	Name             string           `json:"name"`
	Kind             Kind             `json:"kind"`
	Image            ImageDigest      `json:"image"`
	Resources        Resources        `json:"resources"` // of one shard
	Shards           uint32           `json:"shards"`    // that this provider shall run
	Timeouts         Timeouts         `json:"timeouts"`
	Review           Millis           `json:"review_ms"`
	Disputes         *Disputes        `json:"disputes,omitempty"`        // nil: there are none
	VoucherEvery     Millis           `json:"voucher_every_ms,omitzero"` // 0: no vouchers are promised
}

func (q QuoteRequest) limit() int { return 16 << 10 }

// Validate checks q's form.
func (q QuoteRequest) Validate() error {
	switch {
	case q.Version != 1:
		return malformed("quote request: version %d", q.Version)
	case !jobName.MatchString(q.Name) || q.Kind != Training && q.Kind != Inference && q.Kind != General:
		return malformed("quote request: name %.80q, kind %.80q", q.Name, string(q.Kind))
	case !isDigest(q.Image):
		return malformed("quote request: image %.80q", string(q.Image))
	case q.VoucherEvery < 0 || q.VoucherEvery > maxRun:
		return malformed("quote request: vouchers every %s", q.VoucherEvery)
	case q.Shards == 0 || q.Shards > MaxShards || q.Review <= 0 || q.Review > maxRun:
		return malformed("quote request: %d shards, review window of %s", q.Shards, q.Review)
	}
	if _, err := peerKey(q.Requester); err != nil {
		return fmt.Errorf("quote request: %w", err)
	}
	checks := []error{checkPayment(q.RequesterAddress, q.Magic), q.Resources.validate(), q.Timeouts.validate()}
	if q.Disputes != nil {
		checks = append(checks, q.Disputes.Validate())
	}
	for _, err := range checks {
		if err != nil {
			return fmt.Errorf("quote request: %w", err)
		}
	}
	return nil
}

// ID is the hash that a Quote answers.
func (q QuoteRequest) ID() (Hash, error) {
	b, err := encode(q)
	if err != nil {
		return Hash{}, err
	}
	return HashOf(b), nil
}

// Quote is a provider's firm answer: until Expires it holds the capacity and the price. The bond input is the one
// input of its wallet that the opening transaction may spend; what is over goes to Change.
type Quote struct {
	Version     uint8         `json:"version"`
	Request     Hash          `json:"request"` // QuoteRequest.ID
	Requester   peer.ID       `json:"requester"`
	Provider    peer.ID       `json:"provider"`
	Reservation ReservationID `json:"reservation"`
	Magic       uint32        `json:"magic"`
	Issued      chain.Time    `json:"issued"`
	Expires     chain.Time    `json:"expires"`
	PriceUNTX   uint64        `json:"price_untx"` // of all shards asked for
	BondBps     uint16        `json:"bond_bps"`
	PenaltyBps  uint16        `json:"penalty_bps"`
	Payment     chain.Address `json:"payment"`
	PaymentKey  []byte        `json:"payment_key"`
	BondInput   chain.OutRef  `json:"bond_input"`
	BondAddress chain.Address `json:"bond_address"` // that the bond input is at; same key as Payment
	BondValue   Funds         `json:"bond_value"`   // all of the bond input
	Change      chain.Address `json:"change"`
	GPUs        []string      `json:"gpus"` // UUIDs, reserved
}

// Funds is a chain.Value on the wire.
type Funds struct {
	Lovelace chain.Lovelace `json:"lovelace"`
	Assets   []Amount       `json:"assets"` // ascending, none of them zero
}

// Amount is a quantity of one asset.
type Amount struct {
	Asset    chain.AssetID `json:"asset"`
	Quantity uint64        `json:"quantity"`
}

// FundsOf writes v.
func FundsOf(v chain.Value) Funds {
	f := Funds{Lovelace: v.Coin}
	for _, id := range v.IDs() {
		f.Assets = append(f.Assets, Amount{id, v.Of(id)})
	}
	return f
}

// Value reads f.
func (f Funds) Value() chain.Value {
	v := chain.Coins(f.Lovelace)
	for _, a := range f.Assets {
		v = v.With(a.Asset, a.Quantity)
	}
	return v
}

func (q Quote) limit() int { return 8 << 10 }

// Validate checks q's form.
func (q Quote) Validate() error {
	switch {
	case q.Version != 1:
		return malformed("quote: version %d", q.Version)
	case q.Issued <= 0 || q.Expires <= q.Issued || q.Expires > Day.After(q.Issued):
		return malformed("quote: issued at %d, expires at %d", q.Issued, q.Expires)
	case q.PriceUNTX == 0 || q.PriceUNTX > maxPrice:
		return malformed("quote: price of %d µNTX", q.PriceUNTX)
	case len(q.GPUs) > maxGPUs || len(q.BondValue.Assets) > 16:
		return malformed("quote: %d GPUs, %d assets", len(q.GPUs), len(q.BondValue.Assets))
	}
	for i, a := range q.BondValue.Assets {
		if a.Quantity == 0 || i > 0 && q.BondValue.Assets[i-1].Asset.Compare(a.Asset) >= 0 {
			return malformed("quote: asset %s twice, out of order or zero", a.Asset)
		}
	}
	for _, id := range q.GPUs {
		if !plain(id, maxName) {
			return malformed("quote: GPU %.40q", id)
		}
	}
	for _, id := range []peer.ID{q.Requester, q.Provider} {
		if _, err := peerKey(id); err != nil {
			return fmt.Errorf("quote: %w", err)
		}
	}
	for _, a := range []chain.Address{q.Payment, q.BondAddress, q.Change} {
		if err := checkPayment(a, q.Magic); err != nil {
			return fmt.Errorf("quote: %w", err)
		}
	}
	if err := checkRates(q.BondBps, q.PenaltyBps); err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if err := checkVKey(q.Payment, q.PaymentKey); err != nil {
		return fmt.Errorf("quote: %w", err)
	}
	if err := checkVKey(q.BondAddress, q.PaymentKey); err != nil {
		return fmt.Errorf("quote: bond input: %w", err)
	}
	return nil
}

// SignQuote signs q with the provider's key.
func SignQuote(q Quote, key crypto.PrivKey) ([]byte, error) {
	return seal(domainQuote, q, key, q.Provider)
}

// ReadQuote reads a quote and checks its signature, and nothing about what it answers: for the provider's own.
func ReadQuote(data []byte) (Quote, error) {
	return unseal(domainQuote, data, func(q Quote) peer.ID { return q.Provider })
}

// OpenQuote reads the answer to request r that was sent to the maker of offer o, and compares it with both: nothing
// may be worse than was posted. Errors as OpenOffer's, and ErrOtherRequest.
func OpenQuote(data []byte, now chain.Time, r QuoteRequest, o Offer) (Quote, error) {
	q, err := ReadQuote(data)
	if err != nil {
		return Quote{}, err
	}
	want, err := r.ID()
	if err != nil {
		return Quote{}, err
	}
	posted := Needs{Run: r.Timeouts.Run}.price(o, r.Shards)
	switch {
	case q.Provider != o.Peer || q.Requester != r.Requester:
		return Quote{}, fmt.Errorf("quote of %s for %s: %w", q.Provider, q.Requester, ErrOtherPeer)
	case q.Request != want:
		return Quote{}, fmt.Errorf("quote of %s: %w", q.Provider, ErrOtherRequest)
	case q.Magic != r.Magic:
		return Quote{}, fmt.Errorf("quote of %s: %w", q.Provider, ErrOtherNetwork)
	case q.Payment != o.Payment:
		return Quote{}, malformed("quote of %s: paid to %s, the offer said %s", q.Provider, q.Payment, o.Payment)
	case q.PriceUNTX > posted:
		return Quote{}, malformed("quote of %s: %s NTX, the offer said %s", q.Provider, FormatNTX(q.PriceUNTX), FormatNTX(posted))
	case q.BondBps != o.BondBps || q.PenaltyBps != o.PenaltyBps:
		return Quote{}, malformed("quote of %s: bond and penalty differ from the offer's", q.Provider)
	}
	if err := checkTime("quote of "+q.Provider.String(), q.Issued, q.Expires, now); err != nil {
		return Quote{}, err
	}
	return q, nil
}
