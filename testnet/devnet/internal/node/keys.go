package node

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/blinklabs-io/dingo/config/cardano"
)

// keys are the files of the pool's block-producing keys.
type keys struct{ vrf, kes, cert string }

// writeKeys puts the pool keys embedded in dingo into dir/keys, mode 0600. They are public: whoever can reach this
// chain could forge on it, which is why it has no network port.
func writeKeys(dir string) (keys, error) {
	at := filepath.Join(dir, "keys")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return keys{}, fmt.Errorf("pool keys: %w", err)
	}
	put := func(name string) (string, error) {
		b, err := cardano.EmbeddedConfigFS.ReadFile("devnet/keys/" + name)
		if err != nil {
			return "", fmt.Errorf("pool keys: %w", err)
		}
		path := filepath.Join(at, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return "", fmt.Errorf("pool keys: %w", err)
		}
		return path, nil
	}
	var k keys
	var err error
	for _, f := range []struct {
		to   *string
		name string
	}{{&k.vrf, "vrf.skey"}, {&k.kes, "kes.skey"}, {&k.cert, "opcert.cert"}} {
		if *f.to, err = put(f.name); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}
