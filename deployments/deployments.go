// Package deployments is which contracts are on which Cardano network: one file a network, newest version first, with
// the parameters, the hashes that they must give, and the outputs that publish the scripts, if anybody has.
package deployments

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// ErrPinned is contracts that are not what is pinned for their network.
var ErrPinned = errors.New("not the contracts pinned for this network")

// Network is what is known of one Cardano network.
type Network struct {
	Name      string       `json:"name"`
	Magic     uint32       `json:"magic"`
	ID        uint8        `json:"id"` // in addresses: 1 on mainnet, else 0
	Note      string       `json:"note"`
	Contracts []Deployment `json:"contracts"` // newest first; jobs name the policy of theirs
}

// Deployment is one version of the contracts.
type Deployment struct {
	Params    plutus.Params    `json:"params"`
	Policy    chain.ScriptHash `json:"policy"`
	Stub      chain.ScriptHash `json:"stub"`
	Stake     chain.ScriptHash `json:"stake"`
	Address   chain.Address    `json:"address"`   // of every lot
	Published []chain.OutRef   `json:"published"` // outputs that hold the scripts; none: nobody has published them yet
}

// Chain is the Cardano network.
func (n Network) Chain() chain.Network { return chain.Network{Magic: n.Magic, ID: n.ID} }

//go:embed *.json
var files embed.FS

// Of is what is known of a network; ok is false if nothing is.
func Of(name string) (n Network, ok bool, err error) {
	b, err := files.ReadFile(name + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&n)
	}
	if err != nil {
		return n, false, fmt.Errorf("deployments on %s: %w", name, err)
	}
	return n, true, nil
}

// Find is the version with these parameters; ok is false if it is not a known one. ErrPinned: its hashes are others.
func (n Network) Find(c *plutus.Contracts) (d Deployment, ok bool, err error) {
	for _, d := range n.Contracts {
		if d.Params != c.Params {
			continue
		}
		if d.Policy != c.Policy || d.Stub != c.Stub || d.Stake != c.Stake || d.Address != c.Address {
			return d, true, fmt.Errorf("policy %s, stub %s and stake %s on %s, this program makes %s, %s and %s of the same parameters: %w",
				d.Policy, d.Stub, d.Stake, n.Name, c.Policy, c.Stub, c.Stake, ErrPinned)
		}
		return d, true, nil
	}
	return d, false, nil
}
