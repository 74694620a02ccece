package main

import (
	"context"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// witnessWallet is a wallet as the provider's daemon uses it.
type witnessWallet struct {
	wallet *wallet.Wallet
	kept   *wallet.Reservations
}

// Address implements provider.Wallet.
func (w *witnessWallet) Address() chain.Address { return w.wallet.Address() }

// Keys implements provider.Wallet.
func (w *witnessWallet) Keys() []chain.KeyHash {
	keys := []chain.KeyHash{w.wallet.PaymentKey()}
	if k, ok := w.wallet.StakeKey(); ok {
		keys = append(keys, k)
	}
	return keys
}

// Available implements provider.Wallet.
func (w *witnessWallet) Available(ctx context.Context, coins []chain.UTxO) ([]chain.UTxO, error) {
	free, _, err := w.kept.Coins(ctx, coins)
	return free, err
}

// Reserve implements provider.Wallet.
func (w *witnessWallet) Reserve(ctx context.Context, ref chain.OutRef, purpose string, until chain.Time) error {
	return w.kept.Reserve(ctx, []chain.OutRef{ref}, purpose, until)
}

// Release implements provider.Wallet.
func (w *witnessWallet) Release(ctx context.Context, purpose string) error {
	return w.kept.Release(ctx, purpose)
}

// SignChecked implements provider.Wallet: what is signed is the body that was checked, byte for byte.
func (w *witnessWallet) SignChecked(_ context.Context, tx *chain.Tx, check func(*chain.Tx) error) (vkey, sig []byte, err error) {
	return w.wallet.SignChecked(tx.Body(), func(chain.TxBody) error { return check(tx) })
}
