package escrow

import (
	"errors"
	"fmt"
)

// Sentinel kinds of this package's errors.
var (
	// ErrTransition is an event that the state it meets does not allow.
	ErrTransition = errors.New("no such transition")
	// ErrAmount is a settlement that does not pay what the lot holds.
	ErrAmount = errors.New("wrong amount")
	// ErrNotMine is a lot that names a party which never paid for it.
	ErrNotMine = errors.New("not my lot")
)

// Status is where a lot is in its life.
type Status uint8

// The states of a lot.
const (
	Absent Status = iota
	Open
	Committed
	Disputed
	Sliced // in a slice, with others of its job
	Approved
	Claimed
	Redeemed
	Refunded
	Declined
	Judged
	Conceded
	Lapsed
	Closed
)

var statusNames = [...]string{
	"absent", "open", "committed", "disputed", "sliced",
	"approved", "claimed", "redeemed", "refunded", "declined", "judged", "conceded", "lapsed", "closed",
}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// MarshalText writes the state's name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's name.
func (s *Status) UnmarshalText(b []byte) error {
	for i, n := range statusNames {
		if n == string(b) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("state %q: %w", b, ErrTransition)
}

// Final says whether nothing more happens to the lot.
func (s Status) Final() bool { return s >= Approved }

// Kind names a transition.
type Kind string

// The transitions of a lot. Those of a slice are transitions of each lot in it.
const (
	KindOpen    Kind = "open"
	KindCommit  Kind = "commit"
	KindApprove Kind = "approve"
	KindClaim   Kind = "claim"
	KindRefund  Kind = "refund"
	KindDecline Kind = "decline"
	KindClose   Kind = "close"
	KindRedeem  Kind = "redeem"
	KindDispute Kind = "dispute"
	KindVerdict Kind = "verdict"
	KindConcede Kind = "concede"
	KindLapse   Kind = "lapse"

	KindStart    Kind = "start"
	KindSettle   Kind = "settle"
	KindLeave    Kind = "leave"
	KindFinish   Kind = "finish"
	KindDissolve Kind = "dissolve"
)

// Transition is a row of the state table.
type Transition struct {
	From Status
	On   Kind
	To   Status
}

// Table lists every transition a lot can make. The on-chain validators accept the same ones and no others.
func Table() []Transition {
	return []Transition{
		{Absent, KindOpen, Open},
		{Open, KindCommit, Committed},
		{Open, KindApprove, Approved},
		{Open, KindRefund, Refunded},
		{Open, KindDecline, Declined},
		{Open, KindRedeem, Redeemed},
		{Open, KindClose, Closed},
		{Committed, KindApprove, Approved},
		{Committed, KindClaim, Claimed},
		{Committed, KindRedeem, Redeemed},
		{Committed, KindDispute, Disputed},
		{Committed, KindClose, Closed},
		{Disputed, KindVerdict, Judged},
		{Disputed, KindConcede, Conceded},
		{Disputed, KindLapse, Lapsed},
		{Disputed, KindClose, Closed},
		{Absent, KindStart, Sliced},
		{Sliced, KindSettle, Approved},
		{Sliced, KindLeave, Open},
		{Sliced, KindLeave, Committed},
		{Sliced, KindLeave, Sliced}, // another one left
		{Sliced, KindFinish, Open},
		{Sliced, KindFinish, Approved},
		{Sliced, KindDissolve, Refunded},
	}
}

// next is the state after a transition. Some lead to one of several: to is which, and Absent where there is no choice.
func next(from Status, on Kind, to Status) (Status, error) {
	var found []Status
	for _, t := range Table() {
		if t.From == from && t.On == on && (to == Absent || to == t.To) {
			found = append(found, t.To)
		}
	}
	if len(found) != 1 {
		return from, fmt.Errorf("%s while %s: %w", on, from, ErrTransition)
	}
	return found[0], nil
}
