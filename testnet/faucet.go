package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/submit"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
)

// ErrFaucet is test money that could not be made or sent.
var ErrFaucet = errors.New("faucet")

const (
	FaucetADA     chain.Lovelace = 1_000_000_000_000_000 // in the genesis: a billion ADA
	faucetNTX     uint64         = 1_000_000_000_000_000 // minted at once: a billion test NTX
	faucetRange                  = 60 * time.Second      // validity of its transactions
	faucetPatient                = 60 * time.Second      // until one is given up
)

// Faucet has a test network's money: ADA from the genesis, and test NTX, which its key alone can mint. Its key is
// fresh and never stored.
type Faucet struct {
	wallet *wallet.Wallet
	ntx    chain.AssetID
}

// NewFaucet makes a faucet; its Address is to be funded by the genesis.
func NewFaucet(n chain.Network) (*Faucet, error) {
	words, err := wallet.NewMnemonic(24)
	if err != nil {
		return nil, fmt.Errorf("faucet's key: %w: %w", ErrFaucet, err)
	}
	w, err := wallet.New(wallet.Secret{Mnemonic: words}, n, wallet.Enterprise())
	if err != nil {
		return nil, fmt.Errorf("faucet's key: %w: %w", ErrFaucet, err)
	}
	ntx, _, err := TestNTX(w.PaymentKey())
	if err != nil {
		return nil, err
	}
	return &Faucet{wallet: w, ntx: ntx}, nil
}

// Address is the faucet's own.
func (f *Faucet) Address() chain.Address { return f.wallet.Address() }

// NTX is the asset that stands for NTX on this network.
func (f *Faucet) NTX() chain.AssetID { return f.ntx }

// Gift is what an address gets: one output for each value.
type Gift struct {
	To     chain.Address
	Values []chain.Value
}

// Fund mints test NTX, publishes the contracts as reference scripts and hands out the gifts, and returns when all of
// that is in blocks. The gifts must fit into one transaction: some hundred outputs.
func (f *Faucet) Fund(ctx context.Context, n *node.Node, c *plutus.Contracts, gifts []Gift) error {
	// One coin apart for collateral: the genesis gave everything in one output, and minting runs a script.
	apart := chain.Draft{Outputs: []chain.Output{{Address: f.Address(), Value: chain.Coins(wallet.CollateralLovelace)}}}
	if err := f.pay(ctx, n, apart); err != nil {
		return fmt.Errorf("collateral: %w", err)
	}
	d, err := MintTestNTX(f.wallet.PaymentKey(), int64(faucetNTX), 0, 0) // pay sets the bounds
	if err != nil {
		return err
	}
	for _, g := range gifts {
		for _, v := range g.Values {
			d.Outputs = append(d.Outputs, chain.Output{Address: g.To, Value: v})
		}
	}
	if err := f.pay(ctx, n, d); err != nil {
		return fmt.Errorf("gifts: %w", err)
	}
	for _, d := range []chain.Draft{c.Deploy(plutus.Frame{}), c.DeploySlices(plutus.Frame{})} {
		if err := f.pay(ctx, n, d); err != nil {
			return fmt.Errorf("reference scripts: %w", err)
		}
	}
	return nil
}

// pay balances a draft with the faucet's coins, signs and submits it, again if a rollback or a lost connection takes it
// away, and waits until it is in a block.
func (f *Faucet) pay(ctx context.Context, n *node.Node, d chain.Draft) error {
	params, err := n.Params(ctx)
	if err != nil {
		return err
	}
	clock, err := n.Clock(ctx)
	if err != nil {
		return err
	}
	tip, height, us, err := n.Snapshot(ctx, f.Address())
	if err != nil {
		return err
	}
	d.From = tip.Slot
	if d.Until, err = clock.TimeToSlot(clock.SlotToTime(tip.Slot) + chain.Time(faucetRange.Milliseconds())); err != nil {
		return err
	}
	coins, collateral := us, []chain.UTxO(nil)
	if i := slices.IndexFunc(us, func(u chain.UTxO) bool {
		return len(u.Value.Assets) == 0 && u.Value.Coin == wallet.CollateralLovelace
	}); i >= 0 {
		collateral, coins = us[i:i+1], slices.Delete(slices.Clone(us), i, i+1)
	}
	tx, err := chain.Balance(d, coins, f.Address(), collateral, params, clock, f.wallet.Network())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFaucet, err)
	}
	if err := f.wallet.SignBuilt(tx); err != nil {
		return fmt.Errorf("%w: %w", ErrFaucet, err)
	}
	ctx, cancel := context.WithTimeout(ctx, faucetPatient)
	defer cancel()
	// Every coin and every reference is the faucet's own: at this tip they are all unspent.
	body, err := tx.Inspect()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFaucet, err)
	}
	_, _, err = submit.Delivery{
		Node: n, Since: &submit.Base{Point: tip, Height: height, Unspent: body.Inputs}, At: []chain.Address{f.Address()},
		Ours: func(t chain.BlockTx) bool { return slices.Contains(t.Witnesses, f.wallet.PaymentKey()) },
	}.Land(ctx, tx.Bytes(), 1)
	if err != nil {
		return fmt.Errorf("sending %s: %w: %w", tx.ID(), ErrFaucet, err)
	}
	return nil
}
