package chain

import (
	"errors"
	"fmt"
	"slices"
)

// Balance makes a transaction of a draft: it chooses coins of have, evaluates the scripts, sets the exact fee and
// returns the rest to change. Collateral comes from coll, which pays for nothing else. The same arguments, have and
// coll in any order, give the same bytes. The body is in CIP-21's canonical form.
//
// ErrInsufficient: the coins do not cover it. ErrFragmented: they do, but are too many for one transaction. ErrScript: a script refuses (see ScriptError). ErrLedgerRule: the
// ledger would refuse it whatever the coins. ErrMalformed: the draft contradicts itself.
func Balance(d Draft, have []UTxO, change Address, coll []UTxO, p Params, clk Clock, net Network) (*Tx, error) {
	b := &balancer{Draft: d, p: p, clk: clk, net: net, change: change, coll: coll}
	if err := b.prepare(have); err != nil {
		return nil, fmt.Errorf("balance: %w", err)
	}
	tx, err := b.settle()
	if err != nil {
		return nil, fmt.Errorf("balance: %w", err)
	}
	tx.built = true
	return tx, nil
}

// balancer holds a draft on its way to a transaction.
type balancer struct {
	Draft
	p       Params
	clk     Clock
	net     Network
	change  Address
	coll    []UTxO
	outputs []Output
	minted  map[AssetID]int64
	pool    coinPool // coins to choose from
	paying  []UTxO   // coins chosen
	calls   []call   // sorted as the ledger sorts redeemers
	scripts [][]byte // to attach
	aux     []byte
}

// call is a redeemer before its index is known.
type call struct {
	purpose Purpose
	ref     OutRef
	policy  ScriptHash
	data    []byte
	units   ExUnits
}

// errShort is a change that cannot be made: so much more lovelace is needed.
type errShort struct{ missing Lovelace }

func (e errShort) Error() string { return fmt.Sprintf("%d lovelace missing", e.missing) }

// maxRounds bounds how often scripts may change their mind about what they take.
const maxRounds = 20

// settle adds coins until they suffice and units until the scripts are content with what is declared.
func (b *balancer) settle() (*Tx, error) {
	for rounds := 0; rounds < maxRounds; {
		tx, body, err := b.assemble()
		if short := (errShort{}); errors.As(err, &short) {
			u, err := b.pool.takeCoin(short.missing)
			if err != nil {
				return nil, err
			}
			if err := b.pay(u); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if b.dropNeedless(body) {
			continue
		}
		rounds++
		settled, err := b.evaluate(tx)
		if err != nil {
			return nil, err
		}
		if settled {
			if err := b.checkSize(tx); err != nil {
				return nil, err
			}
			return tx, checkBody(tx, body, indexUTxOs(tx.resolved), b.p, b.clk, b.net)
		}
	}
	return nil, fmt.Errorf("execution units do not settle: %w", ErrScript)
}

// assemble makes the transaction with the coins and units there are, with the least fee that covers itself.
func (b *balancer) assemble() (*Tx, *TxBody, error) {
	fee := b.p.MinFee(0, ExUnits{}, 0)
	for round := range 20 {
		tx, body, err := b.withFee(fee)
		if err != nil {
			return nil, nil, err
		}
		least := b.p.MinFee(tx.signedSize(len(tx.needed)), tx.Units(), refScriptBytes(body, indexUTxOs(tx.resolved)))
		// A higher fee can make a number shorter: then two fees ask for each other, and the higher one is taken.
		if least == fee || least < fee && round > 10 {
			return tx, body, nil
		}
		fee = least
	}
	return nil, nil, fmt.Errorf("the fee does not settle: %w", ErrMalformed)
}

func (b *balancer) withFee(fee Lovelace) (*Tx, *TxBody, error) {
	change, err := b.makeChange(fee)
	if err != nil {
		return nil, nil, err
	}
	body := &TxBody{
		Fee: fee, From: b.From, Until: b.Until, Mint: b.minted, Signers: sortedKeys(b.Signers), NetworkID: &b.net.ID,
		AuxDataHash: hashOf(b.aux),
	}
	for _, u := range b.spent() {
		body.Inputs = append(body.Inputs, u.Ref)
	}
	body.Inputs = sortedRefs(body.Inputs)
	for _, u := range b.References {
		body.References = append(body.References, u.Ref)
	}
	body.References = sortedRefs(body.References)
	for _, o := range slices.Concat(b.outputs, change) {
		body.Outputs = append(body.Outputs, UTxO{Output: o})
	}
	tx := &Tx{aux: b.aux, scripts: b.scripts, redeemers: b.redeemers(body)}
	if len(b.calls) > 0 {
		in, ret, total, err := chooseCollateral(b.coll, fee, b.change, b.p)
		if err != nil {
			return nil, nil, err
		}
		body.Collateral, body.CollateralReturn, body.TotalCollateral = sortedRefs(in), ret, &total
		body.ScriptDataHash = scriptDataHash(tx.redeemers, b.p)
	}
	tx.body = body.encode()
	body.ID = tx.ID()
	for i := range body.Outputs {
		body.Outputs[i].Ref = OutRef{body.ID, uint32(i)}
	}
	return tx, body, tx.Require(slices.Concat(b.spent(), b.References, b.coll))
}

// spent lists all inputs, the draft's and the chosen coins.
func (b *balancer) spent() []UTxO {
	var us []UTxO
	for _, in := range b.Inputs {
		us = append(us, in.UTxO)
	}
	return append(us, b.paying...)
}

// totals is what comes in and what goes out, without fee and change.
func (b *balancer) totals() (in, out Value, err error) {
	if in, err = sumValues(b.spent()); err != nil {
		return in, out, err
	}
	for _, o := range b.outputs {
		if out, err = out.Add(o.Value); err != nil {
			return in, out, err
		}
	}
	return addMint(in, out, b.minted)
}

// addMint counts what is minted with what comes in, what is burned with what goes out.
func addMint(in, out Value, mint map[AssetID]int64) (_, _ Value, err error) {
	for id, q := range mint {
		switch {
		case q > 0:
			in, err = in.Add(Value{}.With(id, uint64(q)))
		case q < 0:
			out, err = out.Add(Value{}.With(id, -uint64(q)))
		}
		if err != nil {
			return in, out, err
		}
	}
	return in, out, nil
}
