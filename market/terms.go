package market

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// TermsVersion is the version of the terms document.
const TermsVersion = 1

// MaxTermsBytes bounds an encoded terms document.
const MaxTermsBytes = 256 << 10

// Terms is everything the parties of one job agree on. Its hash is on chain, as the `rest` of the packed terms.
//
// What containers get to see is one tree of files: Program is the root of a bundle with the inputs that all shards
// share, ShardTerms.Input that of a bundle with the shard's own; paths in both are paths in the container without
// the leading slash, below one of Task.Mounts.
type Terms struct {
	Version          uint8            `json:"version"`
	Magic            uint32           `json:"magic"`
	Policy           chain.ScriptHash `json:"policy"` // the lot tokens' minting policy
	Spend            chain.ScriptHash `json:"spend"`  // the script that lots sit at
	Nonce            [16]byte         `json:"nonce"`
	Name             string           `json:"name"`
	Kind             Kind             `json:"kind"`
	Requester        peer.ID          `json:"requester"`
	RequesterAddress chain.Address    `json:"requester_address"`
	Seed             chain.OutRef     `json:"seed"` // the requester's input that makes the job unique
	Task             Task             `json:"task"`
	Program          Hash             `json:"program"` // zero: no shared input
	Ring             []uint32         `json:"ring"`    // shard indices in ring order, spares last; empty without a collective
	Timeouts         Timeouts         `json:"timeouts"`
	Review           Millis           `json:"review_ms"`
	LockUntil        chain.Time       `json:"lock_until"` // upper bound of the opening transaction
	DeclineBy        chain.Time       `json:"decline_by"`
	CommitBy         chain.Time       `json:"commit_by"`
	BondBps          uint16           `json:"bond_bps"`
	PenaltyBps       uint16           `json:"penalty_bps"`
	LotLovelace      chain.Lovelace   `json:"lot_lovelace"`              // what each provider puts into its lot, at least
	VoucherKey       Key              `json:"voucher_key,omitzero"`      // signs vouchers; zero: there are none
	VoucherEvery     Millis           `json:"voucher_every_ms,omitzero"` // of the program's time; 0: no vouchers are promised
	Disputes         *Disputes        `json:"disputes,omitempty"`        // nil: there are none
	Lots             []LotTerms       `json:"lots"`
}

// LotTerms is one provider's part.
type LotTerms struct {
	Provider  peer.ID       `json:"provider"`
	Addrs     []string      `json:"addrs"` // multiaddrs
	Payment   chain.Address `json:"payment"`
	PriceUNTX uint64        `json:"price_untx"`
	BondInput chain.OutRef  `json:"bond_input"`
	Shards    []ShardTerms  `json:"shards"` // ascending by index
}

// ShardTerms is one shard.
type ShardTerms struct {
	Index uint32 `json:"index"`
	Input Hash   `json:"input"` // root of the bundle of its own inputs; zero: none
}

func (t Terms) limit() int { return MaxTermsBytes }

// Encode checks t and writes its canonical bytes.
func (t Terms) Encode() ([]byte, error) { return encode(t) }

// DecodeTerms reads terms from their canonical bytes and checks them. Errors: ErrTooLarge, ErrMalformed,
// ErrOtherNetwork.
func DecodeTerms(data []byte) (Terms, error) { return decode[Terms](data) }

// Hash is the blake2b-256 hash of the canonical bytes.
func (t Terms) Hash() (Hash, error) {
	b, err := t.Encode()
	if err != nil {
		return Hash{}, err
	}
	return HashOf(b), nil
}

// LotOf is the part of provider id.
func (t Terms) LotOf(id peer.ID) (LotTerms, bool) {
	for _, l := range t.Lots {
		if l.Provider == id {
			return l, true
		}
	}
	return LotTerms{}, false
}

// ProviderOf is the provider of a shard.
func (t Terms) ProviderOf(shard uint32) (peer.ID, bool) {
	for _, l := range t.Lots {
		for _, s := range l.Shards {
			if s.Index == shard {
				return l.Provider, true
			}
		}
	}
	return "", false
}

// TotalUNTX is what all lots cost together, without bonds. Valid terms cannot overflow it.
func (t Terms) TotalUNTX() (untx uint64) {
	for _, l := range t.Lots {
		untx += l.PriceUNTX
	}
	return untx
}

// Deadlines follows from the opening transaction's upper bound: a provider whose inputs have not arrived within
// timeouts.start has `margin` to decline, and one that has run has `margin` to commit after timeouts.collect.
// The margin is what a transaction may take to get into the chain to stay.
func Deadlines(lockUntil chain.Time, t Timeouts, margin Millis) (declineBy, commitBy chain.Time) {
	return (t.Start + margin).After(lockUntil), (t.Start + t.Run + t.Collect + margin).After(lockUntil)
}
