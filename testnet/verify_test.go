package testnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
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

// TestVerifyKept verifies a summary of balances against a chain that a node left behind, and against the same chain
// while a node runs on it.
func TestVerifyKept(t *testing.T) {
	net := chain.Network{Magic: 42}
	f, err := testnet.NewFaucet(net)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plutus.New(net, plutus.Devnet(f.NTX()))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tn")
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
	stop := func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	n, err := node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: net})
	if err != nil {
		t.Fatal(err)
	}
	who := chaintest.NewActor("somebody")
	if err := f.Fund(t.Context(), n, c, []testnet.Gift{{To: who.Address, Values: []chain.Value{chain.Coins(5_000_000).With(f.NTX(), 7)}}}); err != nil {
		t.Fatal(err)
	}
	tip, err := n.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	s := testnet.Summary{
		Network: net, NTX: f.NTX(), FundedAt: tip.Slot, EndedAt: tip.Slot,
		Balances: map[string]testnet.Balance{who.Address.String(): {
			Role: "somebody", BeforeUNTX: 7, AfterUNTX: 7, BeforeLovelace: 5_000_000, AfterLovelace: 5_000_000,
		}},
	}
	write := func(s testnet.Summary) {
		t.Helper()
		b, err := json.Marshal(s)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "summary.json"), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(s)
	for _, running := range []bool{true, false} {
		var said bytes.Buffer
		if err := testnet.Verify(t.Context(), dir, &said); err != nil || !bytes.Contains(said.Bytes(), []byte("all 5 claims")) {
			t.Fatalf("running %t: %v: %s", running, err, said.String())
		}
		if running {
			stop()
		}
	}
	b := s.Balances[who.Address.String()]
	b.AfterUNTX++
	s.Balances[who.Address.String()] = b
	write(s)
	if err := testnet.Verify(t.Context(), dir, io.Discard); !errors.Is(err, testnet.ErrClaim) {
		t.Errorf("a wrong balance: %v", err)
	}
	s.EndedAt += 1 << 30
	write(s)
	if err := testnet.Verify(t.Context(), dir, io.Discard); !errors.Is(err, testnet.ErrClaim) {
		t.Errorf("a chain that ends before the summary: %v", err)
	}
	if err := testnet.Verify(t.Context(), t.TempDir(), io.Discard); !errors.Is(err, testnet.ErrSummary) {
		t.Errorf("no summary: %v", err)
	}
}
