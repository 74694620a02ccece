//go:build onnode

package plutus_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// TestAttacksOnNode is `make attacks`: the whole list on a node with hardened rules.
func TestAttacksOnNode(t *testing.T) {
	n, bank := start(t)
	plutus.AttackOnNode(t, n, bank)
}

// TestSettlementOnNode is `make bench-settlement`: what transitions cost, and the largest ones on a node.
func TestSettlementOnNode(t *testing.T) {
	n, bank := start(t)
	plutus.MeasureSettlement(t, n, bank)
}

// start runs a node of mainnet's parameters whose money is all the bank's.
func start(t *testing.T) (*node.Node, chaintest.Actor) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ta") // short: a socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bank := chaintest.NewActor("bank")
	program := ""
	if bin := os.Getenv("TALLY_BIN"); bin != "" {
		program = filepath.Join(bin, "tally-devnet")
	}
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: filepath.Join(dir, "n"), Magic: chaintest.Network().Magic, SlotLength: 200 * time.Millisecond, EpochLength: 40_000,
		Funds: map[chain.Address]chain.Lovelace{bank.Address: testnet.FaucetADA}, Program: program,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	n, err := node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: p.Network()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n, bank
}
