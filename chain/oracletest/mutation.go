package main

import (
	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// mutation is one way to break a transaction, and who must notice. Everything but the fault is made to fit, the fee and
// the signatures included, so that the fault is the only one.
type mutation struct {
	name   string
	rule   string // ours; "": the transaction is refused while it is decoded
	node   string // a part of the node's reason, if it is not the rule's name; "": its ledger takes it
	scalus string // a part of scalus's reason; "": scalus does not know the rule
	rust   bool   // the serialization libraries notice: they do not decode it, or id, fee, hash or signature do not fit
	apply  func(*raw, *subject) bool
}

// subject is the transaction that is mutated and what is known about it.
type subject struct {
	w        *world
	tx       *chain.Tx
	resolved []chain.UTxO
	change   int  // the output to take lovelace from
	script   bool // it runs scripts
}

// spare is what mutations that make a transaction longer may add to its fee: enough for a whole one of 16 KiB.
const spare = 800_000

// pad raises the fee, and what the fee asks for, at the cost of the change.
func (s *subject) pad(r *raw, lovelace uint64) bool {
	if r.outputs()[s.change].coin() < lovelace+5_000_000 {
		return false
	}
	r.body[bodyFee] = enc(r.fee() + lovelace)
	r.move(s.change, int64(lovelace))
	return s.collateral(r, uint64(s.w.params.Collateral(chain.Lovelace(r.fee()))))
}

// collateral makes the collateral so much, if it is returned; if not, it must be enough as it is.
func (s *subject) collateral(r *raw, total uint64) bool {
	back, ok := r.body[bodyCollateralReturn]
	if !ok {
		return !s.script || dec[uint64](r.body[bodyTotalCollateral]) >= total
	}
	had, o := dec[uint64](r.body[bodyTotalCollateral]), dec[output](back)
	coin, a := o.value()
	if coin+had < total {
		return false
	}
	r.body[bodyCollateralReturn] = enc(o.with(coin+had-total, a))
	r.body[bodyTotalCollateral] = enc(total)
	return true
}

// take finds an output in the world that is not part of the transaction.
func (s *subject) take(fits func(chain.UTxO) bool) (chain.UTxO, bool) {
	used := map[chain.OutRef]bool{}
	for _, u := range s.resolved {
		used[u.Ref] = true
	}
	for _, u := range s.w.sorted() {
		if !used[u.Ref] && fits(u) {
			return u, true
		}
	}
	return chain.UTxO{}, false
}

// scripts says that a mutation applies to transactions with scripts only.
func scripts(f func(*raw, *subject) bool) func(*raw, *subject) bool {
	return func(r *raw, s *subject) bool { return s.script && f(r, s) }
}

// padded gives a mutation a fee that covers what it adds.
func padded(f func(*raw, *subject) bool) func(*raw, *subject) bool {
	return func(r *raw, s *subject) bool { return s.pad(r, spare) && f(r, s) }
}

func stranger() chaintest.Actor { return chaintest.NewActor("somebody else") }

// mutations are all ways.
func mutations() []mutation {
	return append(append(append(payments(), encodings()...), scriptFaults()...), collaterals()...)
}
