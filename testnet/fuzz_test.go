package testnet_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tallycompute/tally/testnet"
)

// FuzzLoad: a network file that is read and written is the same one.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"name": "devnet", "magic": 42, "network_id": 0, "socket": "node.socket", "confirmations": 1}`))
	dir := f.TempDir()
	path := filepath.Join(dir, "network.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := testnet.Load(path)
		if err != nil {
			if !errors.Is(err, testnet.ErrNetwork) {
				t.Fatal(err)
			}
			return
		}
		if err := n.Save(path); err != nil {
			t.Fatal(err)
		}
		if again, err := testnet.Load(path); err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("%+v becomes %+v: %v", n, again, err)
		}
	})
}
