package testnet_test

import (
	"context"
	"errors"
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

// startNode runs a devnet whose genesis funds a faucet.
func startNode(t *testing.T, f *testnet.Faucet) *node.Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "tn") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: filepath.Join(dir, "node"), Magic: 42, SlotLength: 100 * time.Millisecond,
		Funds: map[chain.Address]chain.Lovelace{f.Address(): testnet.FaucetADA},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	n, err := node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: chain.Network{Magic: 42}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestFaucet(t *testing.T) {
	f, err := testnet.NewFaucet(chain.Network{Magic: 42})
	if err != nil {
		t.Fatal(err)
	}
	c, err := plutus.New(chain.Network{Magic: 42}, plutus.Devnet(f.NTX()))
	if err != nil {
		t.Fatal(err)
	}
	n, who := startNode(t, f), chaintest.NewActor("somebody")
	want := chain.Coins(5_000_000).With(f.NTX(), 7_000_000)
	err = f.Fund(t.Context(), n, c, []testnet.Gift{{To: who.Address, Values: []chain.Value{want, chain.Coins(9_000_000)}}})
	if err != nil {
		t.Fatal(err)
	}
	us, err := n.UTxOs(t.Context(), who.Address)
	if err != nil || len(us) != 2 {
		t.Fatalf("%v, %v", us, err)
	}
	if !us[0].Value.Equal(want) && !us[1].Value.Equal(want) {
		t.Errorf("no output holds %v: %v", want, us)
	}
	us, err = n.UTxOs(t.Context(), c.Address)
	if err != nil || len(c.FindReferences(us)) != 5 {
		t.Errorf("reference scripts: %v, %v", us, err)
	}
}

// TestFaucetPolicy: nobody but the faucet mints test NTX.
func TestFaucetPolicy(t *testing.T) {
	f, err := testnet.NewFaucet(chaintest.Network())
	if err != nil {
		t.Fatal(err)
	}
	thief, mint := chaintest.NewActor("thief"), testnet.FaucetScript(f)
	d := chain.Draft{
		Mint:    []chain.Mint{{Policy: f.NTX().Policy, Assets: map[string]int64{f.NTX().Name: 1}, Redeemer: []byte{0xd8, 0x79, 0x80}}},
		Signers: []chain.KeyHash{thief.Hash}, Scripts: [][]byte{mint}, From: 1000, Until: 1100,
	}
	coins, collateral := []chain.UTxO{thief.Coin(0, chain.Coins(50_000_000))}, []chain.UTxO{thief.Coin(1, chain.Coins(9_000_000))}
	_, err = chain.Balance(d, coins, thief.Address, collateral, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if !errors.Is(err, chain.ErrScript) {
		t.Errorf("a stranger mints: %v", err)
	}
	d.Signers = nil
	_, err = chain.Balance(d, coins, thief.Address, collateral, chaintest.Params(), chaintest.Clock(), chaintest.Network())
	if !errors.Is(err, chain.ErrScript) {
		t.Errorf("nobody signs: %v", err)
	}
}
