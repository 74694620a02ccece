package market

import "github.com/tallycompute/tally/chain"

// LeaveInvitation asks another provider of a slice whether it leaves it in the asker's transaction.
type LeaveInvitation struct {
	Job   JobID        `json:"job"`
	Slice chain.OutRef `json:"slice"`
}

func (i LeaveInvitation) limit() int { return 512 }

// Validate has nothing to check.
func (i LeaveInvitation) Validate() error { return nil }

// LeaveWish is a yes to a LeaveInvitation, with all that the transaction needs to know of its provider.
type LeaveWish struct {
	Slice chain.OutRef `json:"slice"`
	Root  Hash         `json:"root"` // of its result; zero: it leaves without
}

func (w LeaveWish) limit() int { return 512 }

// Validate has nothing to check.
func (w LeaveWish) Validate() error { return nil }

// LeaveProposal asks for a Witness of the transaction, of no reservation. It is whole but for the parties' key witnesses.
type LeaveProposal struct {
	Job   JobID        `json:"job"`
	Slice chain.OutRef `json:"slice"`
	Tx    []byte       `json:"tx"` // CBOR
}

func (p LeaveProposal) limit() int { return maxTx + 512 }

// Validate checks p's form.
func (p LeaveProposal) Validate() error {
	if len(p.Tx) == 0 || len(p.Tx) > maxTx {
		return malformed("proposal of a leave: transaction of %d bytes", len(p.Tx))
	}
	return nil
}
