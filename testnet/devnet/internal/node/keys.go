package node

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	vrfFile  = "vrf.skey"
	kesFile  = "kes.skey"
	certFile = "opcert.cert"
)

// writeKeys puts a pool's keys into dir/keys, mode 0600, and returns that directory. They are public, dingo's own or derived
// from public seeds: whoever can reach this chain could forge on it, which is why it has no port others can reach.
func writeKeys(dir string, pool int) (string, error) {
	files, err := keyFiles(pool)
	if err != nil {
		return "", fmt.Errorf("pool keys: %w", err)
	}
	at := filepath.Join(dir, "keys")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return "", fmt.Errorf("pool keys: %w", err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(at, name), b, 0o600); err != nil {
			return "", fmt.Errorf("pool keys: %w", err)
		}
	}
	return at, nil
}
