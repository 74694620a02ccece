package chain

import (
	"errors"
	"fmt"
)

// ErrRejected is a transaction that a node said no to. The rules that it says are broken are in the error: see Broken.
var ErrRejected = errors.New("transaction rejected")

// ErrNoIntersection is a chain that has none of the points given.
var ErrNoIntersection = errors.New("no common point with the node's chain")

// Outcome is what became of a transaction that was handed to a node, as far as can be known.
type Outcome string

// The outcomes. None is forever: a rollback can take a transaction out of its block, or undo what was in its way.
const (
	Accepted      Outcome = "accepted"                             // the mempool took it
	Waiting       Outcome = "already in the mempool"               // it had been taken before
	Included      Outcome = "already in a block"                   // nothing to do
	SpentByUs     Outcome = "inputs spent by us"                   // by another transaction that this wallet signed
	SpentByOthers Outcome = "inputs spent by someone else"         // or made by a transaction that is not in the chain
	Expired       Outcome = "expired"                              // its validity has ended
	Refused       Outcome = "refused by a rule"                    // it never was valid
	NotNow        Outcome = "not taken for now"                    // for a reason that can pass: a full mempool, a node behind
	Unknown       Outcome = "unknown, connection to the node lost" // submitting the same bytes again is safe
)

// Taken says whether the transaction is on its way or there.
func (o Outcome) Taken() bool { return o == Accepted || o == Waiting || o == Included }

// Lost says whether the same bytes cannot get into the chain any more, unless it rolls back.
func (o Outcome) Lost() bool {
	return o == SpentByUs || o == SpentByOthers || o == Expired || o == Refused
}

// SubmitError is a transaction that a node did not take.
type SubmitError struct {
	Tx      TxID
	Outcome Outcome
	Input   *OutRef // the first input that is gone
	By      *TxID   // the transaction that spent it, if known
	Cause   error   // the node's own words; nil: it was not asked
}

func (e *SubmitError) Error() string {
	s := fmt.Sprintf("transaction %s: %s", e.Tx, e.Outcome)
	if e.Input != nil {
		s += fmt.Sprintf(" (%s", e.Input)
		if e.By != nil {
			s += fmt.Sprintf(", spent by %s", e.By)
		}
		s += ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the node's own words.
func (e *SubmitError) Unwrap() error { return e.Cause }

// Broken lists every rule that an error says is broken: a node reports several at once.
func Broken(err error) (rules []*RuleError) {
	if r, ok := err.(*RuleError); ok {
		return []*RuleError{r}
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		return Broken(x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			rules = append(rules, Broken(e)...)
		}
	}
	return rules
}
