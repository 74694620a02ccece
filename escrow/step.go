package escrow

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Key names a lot off chain: a provider has one lot in a job, whichever UTxO holds it.
type Key struct {
	Job      plutus.JobID  `json:"job"`
	Provider chain.KeyHash `json:"provider"`
}

// String is "job/provider", both in hex: the key of the lot's events in the index.
func (k Key) String() string { return fmt.Sprintf("%x/%s", k.Job[:], k.Provider) }

// Event is something that a block did to a lot.
type Event struct {
	Kind Kind       `json:"kind"`
	Tx   chain.TxID `json:"tx"`
	Slot chain.Slot `json:"slot"`
	To   Status     `json:"to,omitempty"` // the state after it; Absent: there is only one

	// KindOpen, KindStart
	Terms     plutus.Terms    `json:"terms,omitzero"`
	Address   chain.Address   `json:"address,omitzero"` // pays the provider
	Payers    []chain.KeyHash `json:"payers,omitempty"` // the keys that signed the opening
	PriceUNTX uint64          `json:"price_untx,omitempty"`
	BondUNTX  uint64          `json:"bond_untx,omitempty"`
	Lovelace  chain.Lovelace  `json:"lovelace,omitempty"`

	// The output that holds the lot from now on, and where in it, if it is a slice; none at a lot's end
	Ref   chain.OutRef `json:"ref,omitzero"`
	Place plutus.Place `json:"place,omitzero"`

	// KindCommit, KindLeave with a result
	Root    [32]byte   `json:"root,omitzero"`
	ClaimAt chain.Time `json:"claim_at,omitempty"`

	// KindDispute
	Deadline chain.Time `json:"deadline,omitempty"`

	// transitions to a final state: what was awarded (plutus.Lot.Split), and what each side got
	AwardUNTX       uint64 `json:"award_untx,omitempty"`
	ToProviderUNTX  uint64 `json:"to_provider_untx,omitempty"`
	ToRequesterUNTX uint64 `json:"to_requester_untx,omitempty"`
	ToPayeeUNTX     uint64 `json:"to_payee_untx,omitempty"` // of a dispute's cost
	ToSinkUNTX      uint64 `json:"to_sink_untx,omitempty"`  // slashed
	TakenUNTX       uint64 `json:"taken_untx,omitempty"`    // of the provider's stakes, beside the lot
}

// Lot is the state of a lot.
type Lot struct {
	Key       Key
	Status    Status
	Terms     plutus.Terms
	Address   chain.Address
	Payers    []chain.KeyHash
	PriceUNTX uint64
	BondUNTX  uint64
	Lovelace  chain.Lovelace
	Ref       chain.OutRef // of the lot, or of the slice that it is in
	Place     plutus.Place // in the slice, if it is sliced
	Root      [32]byte
	ClaimAt   chain.Time
	Deadline  chain.Time // of verdicts, once disputed
	Txs       map[Kind]chain.TxID
	Slots     map[Kind]chain.Slot

	AwardUNTX       uint64
	ToProviderUNTX  uint64
	ToRequesterUNTX uint64
	ToPayeeUNTX     uint64
	ToSinkUNTX      uint64
	TakenUNTX       uint64
}

// Mine says whether key paid into the lot's opening. A lot that only names a key is nobody's business of that key's.
func (l Lot) Mine(key chain.KeyHash) bool {
	for _, p := range l.Payers {
		if p == key {
			return true
		}
	}
	return false
}

// OpenedBy is the transaction that made the lot, alone or in a slice; zero while there is none.
func (l Lot) OpenedBy() chain.TxID {
	if tx, ok := l.Txs[KindStart]; ok {
		return tx
	}
	return l.Txs[KindOpen]
}

// PenaltyUNTX is what the provider forfeits of its bond when it does not deliver.
func (l Lot) PenaltyUNTX() uint64 { return plutus.PenaltyOf(l.PriceUNTX, l.Terms.PenaltyBps) }

// Step applies one event. It changes neither argument's maps.
func Step(l Lot, e Event) (Lot, error) {
	to, err := next(l.Status, e.Kind, e.To)
	if err != nil {
		return l, fmt.Errorf("lot %s: %w", l.Key, err)
	}
	n := l
	n.Status = to
	n.Ref, n.Place = e.Ref, e.Place
	if to == l.Status {
		return n, nil // another one left: the lot is in another output, and did nothing itself
	}
	n.Txs = with(l.Txs, e.Kind, e.Tx)
	n.Slots = with(l.Slots, e.Kind, e.Slot)
	switch to {
	case Open, Sliced:
		if l.Status != Absent {
			return n, nil
		}
		n.Terms, n.Address, n.Payers = e.Terms, e.Address, e.Payers
		n.PriceUNTX, n.BondUNTX, n.Lovelace = e.PriceUNTX, e.BondUNTX, e.Lovelace
		return n, nil
	case Committed:
		n.Root, n.ClaimAt = e.Root, e.ClaimAt
		return n, nil
	case Disputed:
		if l.Terms.Disputes == (plutus.Disputes{}) {
			return l, fmt.Errorf("lot %s: its terms allow no disputes: %w", l.Key, ErrTransition)
		}
		n.Deadline = e.Deadline
		return n, nil
	}
	n.Ref, n.Place, n.AwardUNTX = chain.OutRef{}, plutus.Place{}, e.AwardUNTX
	n.ToProviderUNTX, n.ToRequesterUNTX, n.ToPayeeUNTX, n.ToSinkUNTX = e.ToProviderUNTX, e.ToRequesterUNTX, e.ToPayeeUNTX, e.ToSinkUNTX
	n.TakenUNTX = e.TakenUNTX
	got := plutus.Split{ProviderUNTX: e.ToProviderUNTX, RequesterUNTX: e.ToRequesterUNTX, PayeeUNTX: e.ToPayeeUNTX, SinkUNTX: e.ToSinkUNTX}
	due, err := l.due(e.Kind, e.AwardUNTX, e.ToSinkUNTX)
	if err != nil || due != got {
		return l, fmt.Errorf("lot %s: %s pays %+v, due are %+v: %w", l.Key, e.Kind, got, due, errors.Join(ErrAmount, err))
	}
	return n, nil
}

// due is what a final transition pays.
func (l Lot) due(k Kind, award, slash uint64) (plutus.Split, error) {
	held := plutus.Lot{PriceUNTX: l.PriceUNTX, BondUNTX: l.BondUNTX}
	if l.Status == Disputed {
		held.DisputeBondUNTX = l.Terms.Disputes.BondUNTX
	}
	return held.Split(plutus.Kind(k), l.Terms, award, slash)
}

// Fold applies events in order to a lot that does not exist yet.
func Fold(k Key, events []Event) (Lot, error) {
	l := Lot{Key: k}
	for _, e := range events {
		var err error
		if l, err = Step(l, e); err != nil {
			return l, err
		}
	}
	return l, nil
}

func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	n := make(map[K]V, len(m)+1)
	for a, b := range m {
		n[a] = b
	}
	n[k] = v
	return n
}

// ParseKey reads what String wrote.
func ParseKey(s string) (k Key, err error) {
	job, provider, ok := strings.Cut(s, "/")
	if !ok {
		return k, fmt.Errorf("lot key %q: %w", s, chain.ErrMalformed)
	}
	return k, errors.Join(k.Job.UnmarshalText([]byte(job)), k.Provider.UnmarshalText([]byte(provider)))
}
