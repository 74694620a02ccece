package testnet_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

func network() testnet.Network {
	return testnet.Network{
		Name: "devnet", Magic: 42, Socket: "/run/node.socket",
		Contracts: plutus.Devnet(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "NTX"}),
		Bootstrap: []string{"/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW"},
		MarginMS:  5000, LockMS: 20000, PollMS: 500, Confirmations: 1,
		Policy: escrow.Policy{DeclineLead: 1, CommitLead: 2, Patience: 3, Grace: 4},
	}
}

func TestNetworkFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "network.json")
	want := network()
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := testnet.Load(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("loaded %+v, %v; saved %+v", got, err, want)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	b, _ := os.ReadFile(path)
	for name, text := range map[string]string{
		"unknown key": strings.Replace(string(b), `"name"`, `"nmae"`, 1),
		"no margin":   strings.Replace(string(b), `"margin_ms": 5000`, `"margin_ms": 0`, 1),
		"no asset":    strings.Replace(string(b), `"ntx": "01`, `"ntx": "00`, 1),
		"empty":       "",
		"too long":    strings.Repeat(" ", 1<<17) + string(b),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := testnet.Load(path); !errors.Is(err, testnet.ErrNetwork) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
