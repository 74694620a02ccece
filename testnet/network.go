package testnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// ErrNetwork is a network file that cannot be read or written, or says something impossible.
var ErrNetwork = errors.New("network file")

// maxNetworkBytes bounds the file that is read.
const maxNetworkBytes = 64 << 10

// Network is what everybody on one Cardano network must agree on to trade, and one participant's own node and pace.
// It holds no secret. Durations are milliseconds.
type Network struct {
	Name      string        `json:"name"` // devnet | preview | preprod | mainnet
	Magic     uint32        `json:"magic"`
	ID        uint8         `json:"id"`        // in addresses: 1 on mainnet, else 0
	Socket    string        `json:"socket"`    // node-to-client socket of this participant's node
	Contracts plutus.Params `json:"contracts"` // with the NTX asset
	// Older are the parameters of versions that jobs were opened with and that new ones no longer use.
	Older         []plutus.Params `json:"older,omitempty"`
	Bootstrap     []string        `json:"bootstrap"` // multiaddrs with /p2p/ of DHT peers to start from
	MarginMS      int64           `json:"margin_ms"` // what a transaction may take to get into the chain to stay
	LockMS        int64           `json:"lock_ms"`   // from building an opening to its upper bound
	PollMS        int64           `json:"poll_ms"`   // between two looks at a provider's progress
	Confirmations uint64          `json:"confirmations"`
	Policy        escrow.Policy   `json:"policy"`
}

// Chain is the Cardano network.
func (n Network) Chain() chain.Network { return chain.Network{Magic: n.Magic, ID: n.ID} }

// Versions are the parameters of all contracts that are followed, those of new jobs first.
func (n Network) Versions() []plutus.Params { return append([]plutus.Params{n.Contracts}, n.Older...) }

// maxOlder bounds how many versions are followed at once.
const maxOlder = 4

// Validate refuses what no participant could work with. A socket may be missing: it is the participant's own.
func (n Network) Validate() error {
	switch {
	case n.Name == "":
		return fmt.Errorf("name is missing: %w", ErrNetwork)
	case n.ID > 1:
		return fmt.Errorf("id %d is neither 0 nor 1: %w", n.ID, ErrNetwork)
	case n.MarginMS <= 0 || n.LockMS <= 0 || n.PollMS <= 0:
		return fmt.Errorf("margin_ms, lock_ms and poll_ms must be above 0: %w", ErrNetwork)
	case n.Confirmations == 0:
		return fmt.Errorf("confirmations must be at least 1: %w", ErrNetwork)
	}
	if len(n.Older) > maxOlder {
		return fmt.Errorf("%d older contracts, at most %d: %w", len(n.Older), maxOlder, ErrNetwork)
	}
	for i, p := range n.Versions() {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("contracts: %w: %w", ErrNetwork, err)
		}
		if slices.Contains(n.Older[min(i, len(n.Older)):], p) {
			return fmt.Errorf("contracts with the same parameters twice: %w", ErrNetwork)
		}
	}
	return nil
}

// Load reads a network file. Unknown keys are refused.
func Load(path string) (Network, error) {
	f, err := os.Open(path)
	if err != nil {
		return Network{}, fmt.Errorf("reading: %w: %w", ErrNetwork, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > maxNetworkBytes {
		return Network{}, fmt.Errorf("reading %s: %w: not a file of at most %d bytes", path, ErrNetwork, maxNetworkBytes)
	}
	var n Network
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return Network{}, fmt.Errorf("reading %s: %w: %w", path, ErrNetwork, err)
	}
	if err := n.Validate(); err != nil {
		return Network{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return n, nil
}

// Save writes a network file that only its owner can read, whole or not at all.
func (n Network) Save(path string) error {
	if err := n.Validate(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(n); err != nil {
		return fmt.Errorf("writing %s: %w: %w", path, ErrNetwork, err)
	}
	if err := writeFile(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w: %w", path, ErrNetwork, err)
	}
	return nil
}

// writeFile replaces a file: its content is the old one or the new one, whenever the machine stops.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
