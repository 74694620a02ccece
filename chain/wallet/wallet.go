package wallet

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// Wallet holds the keys of one address. It is safe for concurrent use.
type Wallet struct {
	payment, stake signer
	net            chain.Network
	address        chain.Address
}

// Option chooses how a wallet is made.
type Option func(*Wallet)

// Enterprise leaves the stake part out of the address.
func Enterprise() Option { return func(w *Wallet) { w.stake = nil } }

// New makes the wallet of a secret on a network. Its address is a base address with the secret's stake key; an
// imported payment key has none, and neither has Enterprise.
func New(s Secret, n chain.Network, opts ...Option) (*Wallet, error) {
	payment, stake, err := s.keys()
	if err != nil {
		return nil, err
	}
	w := &Wallet{payment: payment, stake: stake, net: n}
	for _, o := range opts {
		o(w)
	}
	w.address = chain.Enterprise(n, w.PaymentKey())
	if stake, ok := w.StakeKey(); ok {
		w.address = chain.Base(n, w.PaymentKey(), stake)
	}
	return w, nil
}

// String is the wallet's address: its keys are never printed.
func (w *Wallet) String() string { return w.address.String() }

// GoString hides the keys too.
func (w *Wallet) GoString() string { return w.String() }

// LogValue is the address.
func (w *Wallet) LogValue() slog.Value { return slog.StringValue(w.String()) }

// Address is where the wallet is paid.
func (w *Wallet) Address() chain.Address { return w.address }

// Network is the network the wallet is for.
func (w *Wallet) Network() chain.Network { return w.net }

// VKey is the payment verification key.
func (w *Wallet) VKey() []byte { return bytes.Clone(w.payment.vkey()) }

// PaymentKey is the hash of the payment verification key.
func (w *Wallet) PaymentKey() chain.KeyHash { return chain.HashKey(w.payment.vkey()) }

// StakeKey is the hash of the stake verification key, if the address has one.
func (w *Wallet) StakeKey() (h chain.KeyHash, ok bool) {
	if w.stake == nil {
		return h, false
	}
	return chain.HashKey(w.stake.vkey()), true
}

// Watching says whether the wallet has public keys alone and cannot sign.
func (w *Wallet) Watching() bool {
	_, ok := w.payment.(watchKey)
	return ok
}

// SignBuilt adds our witness to a transaction that chain.Balance made in this process. ErrNotApproved: it was not,
// or it does not ask for our signature.
func (w *Wallet) SignBuilt(tx *chain.Tx) error {
	if w.Watching() {
		return fmt.Errorf("sign %s: %w", tx.ID(), ErrWatching)
	}
	if !tx.Built() {
		return fmt.Errorf("transaction %s was not built here: %w", tx.ID(), ErrNotApproved)
	}
	if !slices.Contains(tx.Needed(), w.PaymentKey()) {
		return fmt.Errorf("transaction %s does not need key %s: %w", tx.ID(), w.PaymentKey(), ErrNotApproved)
	}
	id := tx.ID()
	return tx.AddWitness(w.payment.vkey(), w.payment.sign(id[:]))
}

// SignChecked signs the body of a transaction that somebody else built, if check accepts every part of it, and gives
// the witness. What check sees is all there is in the bytes. ErrNotApproved: it refused (its error is wrapped too).
func (w *Wallet) SignChecked(body []byte, check func(chain.TxBody) error) (vkey, sig []byte, err error) {
	body = bytes.Clone(body) // the caller must not change it between check and signature
	b, err := chain.Inspect(body)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w: %w", err, ErrNotApproved)
	}
	if check == nil {
		return nil, nil, fmt.Errorf("sign %s: nobody checks it: %w", b.ID, ErrNotApproved)
	}
	id := b.ID
	if w.Watching() {
		return nil, nil, fmt.Errorf("sign %s: %w", id, ErrWatching)
	}
	if err := check(b); err != nil {
		return nil, nil, fmt.Errorf("sign %s: %w: %w", id, err, ErrNotApproved)
	}
	return w.VKey(), w.payment.sign(id[:]), nil
}

// messageDomain begins every message the payment key signs that is no transaction.
const messageDomain = "tally/"

// SignMessage signs a message with the payment key. ErrNotApproved: it does not begin with "tally/", or it is as long
// as a transaction's hash; so no such signature is ever one for a transaction.
func (w *Wallet) SignMessage(msg []byte) (vkey, sig []byte, err error) {
	if !bytes.HasPrefix(msg, []byte(messageDomain)) || len(msg) == len(chain.TxID{}) {
		return nil, nil, fmt.Errorf("sign message of %d bytes: %w", len(msg), ErrNotApproved)
	}
	if w.Watching() {
		return nil, nil, fmt.Errorf("sign message: %w", ErrWatching)
	}
	return w.VKey(), w.payment.sign(msg), nil
}
