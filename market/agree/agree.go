package agree

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tallycompute/tally/market"
)

// Sentinel kinds of this package's errors. A provider's no is a market.Refusal instead: use errors.As.
var (
	// ErrUnreachable is a peer that cannot be dialled or does not speak the protocol.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrInterrupted is a call that broke off or ran out of time: it may or may not have had its effect.
	ErrInterrupted = errors.New("call interrupted")
	// ErrProtocol is an answer that is malformed, too large, or not to what was asked.
	ErrProtocol = errors.New("protocol violation")
)

// Protocols, by name.
const (
	Protocol     protocol.ID = "/tally/agree/1"
	LogsProtocol protocol.ID = "/tally/logs/1"

	// AttestProtocol is spoken with attesters.
	AttestProtocol protocol.ID = "/tally/attest/1"

	// LeaveProtocol is spoken between the providers of a slice.
	LeaveProtocol protocol.ID = "/tally/leave/1"
)

const (
	frameTime = 30 * time.Second // to receive or send one frame
	idle      = 30 * time.Second // a log's stream that takes no bytes for so long is given up
	maxLog    = 64 << 20         // bytes of one log
)

// Seller is the provider before a job is locked. Each method is called with the peer that asks; a market.Refusal among its errors is
// sent as it is, any other error is logged and sent as "other" without its text.
type Seller interface {
	// Quote reserves capacity and returns the signed quote (market.SignQuote). The request names from as its requester.
	Quote(ctx context.Context, from peer.ID, r market.QuoteRequest) ([]byte, error)
	// Witness checks the proposal's every byte and signs its transaction.
	Witness(ctx context.Context, from peer.ID, p market.TermsProposal) (market.Witness, error)
	// Release ends a reservation of from's.
	Release(ctx context.Context, from peer.ID, r market.ReservationID) error
	// Locked is a hint to look for the job on chain.
	Locked(ctx context.Context, from peer.ID, l market.Locked) error
}

// Worker is the provider once a job is locked; its errors are Seller's.
type Worker interface {
	// Status says how from's job is doing.
	Status(ctx context.Context, from peer.ID, job market.JobID) (market.JobStatus, error)
	// Result returns the signed result (market.SignResult) of from's job.
	Result(ctx context.Context, from peer.ID, job market.JobID) ([]byte, error)
	// Voucher takes what from's job has earned so far.
	Voucher(ctx context.Context, from peer.ID, v market.Voucher) error
	// Receipt takes a signed receipt, which has not been opened yet.
	Receipt(ctx context.Context, from peer.ID, signed []byte) error
	// Logs writes what a shard of from's job has printed, and returns at its end. It stops when w fails or ctx ends.
	Logs(ctx context.Context, from peer.ID, job market.JobID, shard uint32, w io.Writer) error
}

// Attester is asked about disputed lots; its errors are Seller's.
type Attester interface {
	// Opinion says what the attester makes of a lot, or that it does not know yet: then it is asked again.
	Opinion(ctx context.Context, from peer.ID, r market.VerdictRequest) (market.Opinion, error)
}

// Fellow is a provider as the others of its slice ask it to leave together; its errors are Seller's.
type Fellow interface {
	// Leave says whether the provider leaves the slice now, and with what.
	Leave(ctx context.Context, from peer.ID, i market.LeaveInvitation) (market.LeaveWish, error)
	// WitnessLeave checks every byte of the transaction that from has built, and signs it.
	WitnessLeave(ctx context.Context, from peer.ID, p market.LeaveProposal) (market.Witness, error)
}

var errSigned = errors.New("signed document of another kind")
