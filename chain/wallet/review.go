package wallet

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Review is what a transaction that somebody else built does to this wallet's money: what a person must see before it
// is signed. The ledger takes nothing that is not in it: what goes in comes out, or is the fee.
type Review struct {
	ID          chain.TxID
	Spends      []chain.UTxO // outputs of this wallet that it spends, as far as they are known
	Unknown     int          // inputs of others, or not known to be ours
	Pays        []chain.Output
	Returns     chain.Value // to this wallet's own address
	Fee         chain.Lovelace
	From, Until chain.Slot
	Mint        map[chain.AssetID]int64
	Collateral  []chain.UTxO // outputs of this wallet that are lost if a script fails, as far as they are known
	Scripts     int          // scripts that it runs
	Extras      []chain.Extra
	Message     []string // as its sender wrote it
	Metadata    bool     // it carries metadata that is no message
	Asked       bool     // it names one of this wallet's keys as a required signer: scripts may act on that
	Keys        []chain.KeyHash
}

// Net is what the wallet has less and more afterwards, if all its outputs that are spent are known.
func (r Review) Net() (less, more chain.Value, err error) {
	var in chain.Value
	for _, u := range r.Spends {
		if in, err = in.Add(u.Value); err != nil {
			return less, more, err
		}
	}
	return difference(in, r.Returns), difference(r.Returns, in), nil
}

// Most is what leaves the wallet at most, if all that is spent is its own and nothing is known of it: what others get,
// the fee, what is burned, deposits and gifts.
func (r Review) Most() (most chain.Value, err error) {
	most = chain.Coins(r.Fee)
	for _, o := range r.Pays {
		if most, err = most.Add(o.Value); err != nil {
			return most, err
		}
	}
	for id, q := range r.Mint {
		if q < 0 {
			most = most.With(id, uint64(-q))
		}
	}
	for _, e := range r.Extras {
		if most, err = most.Add(chain.Coins(e.Takes)); err != nil {
			return most, err
		}
	}
	return most, nil
}

// difference is what a has more than b.
func difference(a, b chain.Value) (v chain.Value) {
	if a.Coin > b.Coin {
		v.Coin = a.Coin - b.Coin
	}
	for id, q := range a.Assets {
		if have := b.Of(id); q > have {
			v = v.With(id, q-have)
		}
	}
	return v
}

// Review reads a transaction. known are outputs that this wallet holds, from its own node; none: nothing is known, and
// all that leaves, with the fee, is what may leave this wallet. ErrNotApproved: it has parts that cannot be shown, or
// it needs no signature of this wallet as far as is known.
func (w *Wallet) Review(tx *chain.Tx, known []chain.UTxO) (Review, error) {
	b, err := tx.Inspect()
	if err != nil {
		return Review{}, fmt.Errorf("review: %w: %w", err, ErrNotApproved)
	}
	r := Review{
		ID: b.ID, Fee: b.Fee, From: b.From, Until: b.Until, Mint: b.Mint, Scripts: len(tx.Redeemers()),
		Spends: among(b.Inputs, known), Collateral: among(b.Collateral, known),
	}
	r.Unknown = len(b.Inputs) - len(r.Spends)
	var wrong error
	if r.Message, r.Metadata, err = tx.Message(); err != nil {
		wrong = err
	}
	if r.Extras, err = b.Extras(); err != nil {
		wrong = errors.Join(wrong, err)
	}
	for _, o := range b.Outputs {
		if o.Address != w.address {
			r.Pays = append(r.Pays, o.Output)
		} else if r.Returns, err = r.Returns.Add(o.Value); err != nil {
			wrong = errors.Join(wrong, err)
		}
		if o.Address.NetworkID() != w.net.ID {
			wrong = errors.Join(wrong, fmt.Errorf("it pays %s, an address of another network", o.Address))
		}
	}
	if wrong != nil {
		return r, fmt.Errorf("review %s: %w: %w", r.ID, wrong, ErrNotApproved)
	}
	r.keys(w, &b, len(known) > 0)
	if len(r.Keys) == 0 {
		return r, fmt.Errorf("review %s: it spends nothing of this wallet and asks for none of its keys: %w", r.ID, ErrNotApproved)
	}
	return r, nil
}

// keys finds the wallet's keys that must sign. If nothing is known of the inputs, any may be the wallet's.
func (r *Review) keys(w *Wallet, b *chain.TxBody, known bool) {
	asked := slices.Clone(b.Signers)
	for _, e := range r.Extras {
		if e.HasKey {
			asked = append(asked, e.Key)
		}
	}
	r.Asked = slices.Contains(b.Signers, w.PaymentKey())
	if !known || len(r.Spends)+len(r.Collateral) > 0 || slices.Contains(asked, w.PaymentKey()) {
		r.Keys = append(r.Keys, w.PaymentKey())
	}
	if k, ok := w.StakeKey(); ok {
		r.Asked = r.Asked || slices.Contains(b.Signers, k)
		if slices.Contains(asked, k) {
			r.Keys = append(r.Keys, k)
		}
	}
}

func among(refs []chain.OutRef, us []chain.UTxO) (found []chain.UTxO) {
	for _, u := range us {
		if slices.Contains(refs, u.Ref) {
			found = append(found, u)
		}
	}
	return found
}

// SignReviewed signs a transaction that somebody else built with those of the wallet's keys that it needs, if approve
// accepts the review. What is reviewed is all there is in the bytes that are signed. ErrNotApproved: it refused, or
// there is nothing to sign.
func (w *Wallet) SignReviewed(tx *chain.Tx, known []chain.UTxO, approve func(Review) error) ([]chain.Signature, error) {
	id := tx.ID()
	r, err := w.Review(tx, known)
	if err != nil {
		return nil, err
	}
	if w.Watching() {
		return nil, fmt.Errorf("sign %s: %w", id, ErrWatching)
	}
	if err := approve(r); err != nil {
		return nil, fmt.Errorf("sign %s: %w: %w", id, err, ErrNotApproved)
	}
	var out []chain.Signature
	for _, k := range []signer{w.payment, w.stake} {
		if k != nil && slices.Contains(r.Keys, keyHash(k)) {
			out = append(out, chain.Signature{VKey: k.vkey(), Sig: k.sign(id[:])})
		}
	}
	return out, nil
}
