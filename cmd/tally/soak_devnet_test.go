//go:build soak

package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// soakNode is a real node as the ground.
type soakNode struct {
	*node.Node
	at   testnet.Producer
	last chain.Point
}

func (n *soakNode) next(ctx context.Context) (chain.Point, error) {
	for {
		p, err := n.Tip(ctx)
		if err != nil || p.Slot > n.last.Slot {
			n.last = p
			return p, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
}

func (n *soakNode) undo(ctx context.Context, blocks int) error {
	_, err := n.at.Rollback(ctx, uint64(blocks))
	return err
}

// TestSoakDevnet: a part of the jobs on a real node, with its mempool, its rules and rollbacks of its chain.
func TestSoakDevnet(t *testing.T) {
	const jobs = 150
	ctx := t.Context()
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	net := chaintest.Network()
	faucet, err := testnet.NewFaucet(net)
	if err != nil {
		t.Fatal(err)
	}
	process, err := testnet.StartNode(ctx, testnet.NodeConfig{
		Dir: dir, Magic: net.Magic, SlotLength: time.Second / 2, EpochLength: 6000,
		Funds: map[chain.Address]chain.Lovelace{faucet.Address(): testnet.FaucetADA},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill() })
	n, err := node.Dial(ctx, node.Config{Socket: process.Socket, Network: net})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	c, err := plutus.New(net, plutus.Devnet(faucet.NTX()))
	if err != nil {
		t.Fatal(err)
	}
	buyer, seller := newPayerWallet(t, "buyer", net), newPayerWallet(t, "seller", net)
	var gifts []testnet.Gift
	var sum chain.Value
	values := []chain.Value{chain.Coins(wallet.CollateralLovelace)}
	for range soakCoins {
		values = append(values, chain.Coins(soakADA*1_000_000).With(faucet.NTX(), 10_000_000_000))
	}
	for _, v := range values {
		if sum, err = sum.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []*wallet.Wallet{buyer, seller} {
		gifts = append(gifts, testnet.Gift{To: w.Address(), Values: values})
	}
	if err := faucet.Fund(ctx, n, c, gifts); err != nil {
		t.Fatal(err)
	}
	s := newSoak(t, &soakNode{Node: n, at: process.Producers[0]}, c, buyer, seller, nil)
	for range soakUndo + 1 { // what was given is deeper than any rollback
		s.sync()
	}
	s.run(jobs, 12, 2)
	s.reconcile(sum, sum, jobs)
}
