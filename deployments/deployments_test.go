package deployments_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/deployments"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

var write = flag.Bool("write", false, "write the files anew: versions that were published stay below the new one")

// sample stands for NTX where every market has its own.
var sample = chain.AssetID{Policy: chain.ScriptHash(bytes.Repeat([]byte{1}, 28)), Name: "tNTX"}

// current is what this source makes of the parameters of a network.
func current(t *testing.T, name string) deployments.Network {
	t.Helper()
	params, note := plutus.Devnet(sample), "Every testnet on one machine makes an NTX of its own, and so has contracts of its own. "+
		"Pinned here are those for an NTX that nobody can make: they change if code or parameters do."
	n := deployments.Network{Name: name, Magic: 42}
	var err error
	if name != "devnet" {
		public, pErr := testnet.Public(name, "", sample, nil)
		if pErr != nil {
			t.Fatal(pErr)
		}
		n.Magic, n.ID = public.Magic, public.ID
		note = "Not published yet. Until somebody does, with tally contracts deploy, every transaction carries the scripts it needs."
	}
	switch name {
	case "preview":
		params = plutus.Live(sample)
		note = "Nobody has NTX on preview: markets there make test NTX of their own, and so have contracts of their own. " +
			"Pinned here are those for an NTX that nobody can make: they change if code or parameters do."
	case "preprod":
		params, err = plutus.Preprod()
	case "mainnet":
		params, err = plutus.Mainnet()
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := plutus.New(n.Chain(), params)
	if err != nil {
		t.Fatal(err)
	}
	n.Note = note
	n.Contracts = []deployments.Deployment{{Params: params, Policy: c.Policy, Stub: c.Stub, Stake: c.Stake, Address: c.Address, Published: []chain.OutRef{}}}
	return n
}

// The newest version of every network is what this source makes, hash for hash.
func TestPinned(t *testing.T) {
	for _, name := range []string{"devnet", "preview", "preprod", "mainnet"} {
		want := current(t, name)
		is, ok, err := deployments.Of(name)
		if err != nil && !*write {
			t.Fatal(err)
		}
		if ok && len(is.Contracts) > 0 && is.Contracts[0].Policy == want.Contracts[0].Policy {
			want = is // nothing is new
		} else if ok {
			for _, d := range is.Contracts {
				if len(d.Published) > 0 {
					want.Contracts = append(want.Contracts, d)
				}
			}
		}
		if *write {
			b, err := json.MarshalIndent(want, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name+".json", append(b, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !ok || len(is.Contracts) != len(want.Contracts) || is.Contracts[0].Policy != want.Contracts[0].Policy {
			t.Errorf("%s: pinned are %+v, the source makes %s: make deployments", name, is.Contracts, want.Contracts[0].Policy)
			continue
		}
		c, err := plutus.New(is.Chain(), is.Contracts[0].Params)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := is.Find(c); !ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
		other := *c
		other.Stub[0]++
		if _, _, err := is.Find(&other); !errors.Is(err, deployments.ErrPinned) {
			t.Errorf("%s, another stub: %v", name, err)
		}
	}
	if _, ok, err := deployments.Of("nowhere"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
}
