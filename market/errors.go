package market

import "errors"

// Sentinel kinds of this package's errors; each is wrapped with what was being done.
var (
	// ErrJobFile is a job file that cannot be used; the error is a JobErrors.
	ErrJobFile = errors.New("job file")
	// ErrAmount is text that is no amount of NTX.
	ErrAmount = errors.New("not an NTX amount")
	// ErrSplit is an input that cannot be split over the shards.
	ErrSplit = errors.New("input cannot be split")
	// ErrMalformed is a document that is not in its one canonical form, or breaks a rule of its own.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge is a document over its size limit; it was not decoded.
	ErrTooLarge = errors.New("too large")
	// ErrSignature is a signature that does not fit, or a payment key that does not fit its address.
	ErrSignature = errors.New("bad signature")
	// ErrExpired is a document whose time has passed.
	ErrExpired = errors.New("expired")
	// ErrNotYetValid is a document issued in the future, beyond the clock skew allowed.
	ErrNotYetValid = errors.New("not yet valid")
	// ErrOtherPeer is a document of, or for, another peer than expected.
	ErrOtherPeer = errors.New("for another peer")
	// ErrOtherNetwork is a document for another Cardano network.
	ErrOtherNetwork = errors.New("for another network")
	// ErrOtherRequest is an answer to something that was not asked, or about another job.
	ErrOtherRequest = errors.New("answers another request")
	// ErrNoMatch is a job that the offers at hand cannot run.
	ErrNoMatch = errors.New("no match")
)
