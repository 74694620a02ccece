package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/submit"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
)

// link is a node, or a ledger in its place.
type link interface {
	rules
	submit.Node
	index.Source
}

// payer is a wallet on a chain, of the parts that a participant has: reservations, index, book, purse and submitter.
type payer struct {
	wallet *wallet.Wallet
	kept   *wallet.Reservations
	ix     *index.Index
	purse  *purse
	hand   submit.Submitter
}

// openPayer opens the files of a payer in home. base are the outputs that no block makes; margin is how long what a
// transaction spends stays reserved after it has expired.
func openPayer(ctx context.Context, home string, w *wallet.Wallet, l link, c *plutus.Contracts, base []chain.UTxO, margin time.Duration) (p *payer, err error) {
	p = &payer{wallet: w}
	if p.kept, err = wallet.OpenReservations(ctx, filepath.Join(home, "wallet.db")); err != nil {
		return nil, err
	}
	p.ix, err = index.Open(ctx, filepath.Join(home, "index.db"), index.Config{
		Network: w.Network(), Base: index.Base{UTxOs: base},
		Watch: []index.Credential{index.Key(w.PaymentKey()), index.Script(c.Stub), index.Script(c.Policy)},
	})
	if err != nil {
		return nil, errors.Join(err, p.kept.Close())
	}
	b := newBook(p.ix, c, w.PaymentKey())
	p.ix.Register("fees/1", feeHandler(w.PaymentKey()))
	p.purse = &purse{node: l, book: b, wallet: w, kept: p.kept, network: w.Network(), depth: margin}
	b.pending = p.purse.pays
	p.hand = submit.Submitter{Node: l, Chain: known{p.ix, p.kept}}
	return p, nil
}

func (p *payer) close() error { return errors.Join(p.ix.Close(), p.kept.Close()) }

// follow runs the index until the test ends, and closes the payer.
func (p *payer) follow(t *testing.T, l link) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.ix.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}
