package plutus

import (
	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// beside is what a transition's transaction must not carry, and a draft cannot say.
type beside struct {
	name, want string
	onNode     bool // it can be there: votes need a representative, which the devnet has not
	do         func(*chaintest.Raw)
}

// Deposits of Cardano mainnet's parameters, in lovelace.
const (
	keyDeposit      = 2_000_000
	proposalDeposit = 100_000_000_000
)

func besides() []beside {
	return []beside{
		{"a certificate", "tx.certificates", true, func(r *chaintest.Raw) {
			k := chaintest.NewActor("nobody's stake").Hash
			r.Fields, r.Deposit = map[uint64]any{4: []any{[]any{0, []any{0, k[:]}}}}, keyDeposit
		}},
		{"a withdrawal", "tx.withdrawals", true, func(r *chaintest.Raw) {
			r.Fields = map[uint64]any{5: map[[29]byte]uint64{rewards(): 0}}
		}},
		{"a proposal", "tx.proposals", true, func(r *chaintest.Raw) {
			account := rewards()
			r.Paying = append(r.Paying[:len(r.Paying):len(r.Paying)], chaintest.NewActor("stranger").Coin(77, chain.Coins(2*proposalDeposit)))
			r.Fields = map[uint64]any{20: []any{[]any{proposalDeposit, account[:], []any{6}, []any{"", make([]byte, 32)}}}}
			r.Deposit = proposalDeposit
		}},
		{"a vote", "tx.votes", false, func(r *chaintest.Raw) {
			type action struct {
				_     struct{} `cbor:",toarray"`
				Tx    [32]byte
				Index uint64
			}
			type voter struct {
				_    struct{} `cbor:",toarray"`
				Kind uint64
				Hash [28]byte
			}
			r.Fields = map[uint64]any{19: map[voter]any{{Kind: 2, Hash: chaintest.NewActor("stake").Hash}: map[action]any{{}: []any{1, nil}}}}
		}},
	}
}

// rewards is the reward account of a stake key.
func rewards() (account [29]byte) {
	account[0] = 0xe0
	k := chaintest.NewActor("stake").Hash
	copy(account[1:], k[:])
	return account
}
