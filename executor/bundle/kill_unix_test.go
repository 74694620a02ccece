//go:build unix

package bundle_test

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor/bundle"
)

const (
	killEnv   = "BUNDLE_TEST_KILL" // address, root and store of a fetch that kills its process
	killAfter = 5 * bundle.ChunkSize
)

// TestFetchThatDies is the other process of TestResumeAfterKill; run by itself it has nothing to do.
func TestFetchThatDies(t *testing.T) {
	args := strings.Fields(os.Getenv(killEnv))
	if len(args) == 0 {
		return
	}
	from, err := peer.AddrInfoFromString(args[0])
	if err != nil {
		t.Fatal(err)
	}
	var root bundle.Root
	if err := root.UnmarshalText([]byte(args[1])); err != nil {
		t.Fatal(err)
	}
	store, err := bundle.OpenStore(args[2])
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	if err := h.Connect(t.Context(), *from); err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Fetch(t.Context(), h, from.ID, root, store, bundle.FetchOptions{Progress: func(done, _ uint64) {
		if done >= killAfter {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}})
	t.Fatalf("fetched, and still alive: %v", err)
}

// A process killed in the middle of a fetch leaves a store from which the next one resumes.
func TestResumeAfterKill(t *testing.T) {
	ctx := t.Context()
	a, b := pair(t)
	files := map[string][]byte{"big": noise(16 * bundle.ChunkSize)}
	src, m := pack(t, files)
	serve(t, a, src, everybody, bundle.ServeOptions{})
	dir := filepath.Join(t.TempDir(), "store")
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFetchThatDies$")
	cmd.Env = append(os.Environ(), killEnv+"="+strings.Join([]string{addrs[0].String(), m.Root().String(), dir}, " "))
	out, err := cmd.CombinedOutput()
	if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || st.Signal() != syscall.SIGKILL {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	store, err := bundle.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, h := range m.Entries[0].Chunks {
		if store.HasChunk(h, bundle.ChunkSize) {
			kept++
		}
	}
	if kept == 0 || kept == len(m.Entries[0].Chunks) {
		t.Fatalf("%d of %d chunks outlived the kill", kept, len(m.Entries[0].Chunks))
	}
	var first uint64
	if _, err := bundle.Fetch(ctx, b, a.ID(), m.Root(), store, bundle.FetchOptions{Progress: func(done, _ uint64) {
		if first == 0 {
			first = done
		}
	}}); err != nil {
		t.Fatal(err)
	}
	if want := uint64(kept+1) * bundle.ChunkSize; first != want {
		t.Fatalf("resumed at %d bytes, want %d", first, want)
	}
	to := filepath.Join(t.TempDir(), "out")
	if err := store.Unpack(ctx, m.Root(), to, bundle.UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, readTree(t, to), files)
}

// A program that swaps a file for a link to a secret while it is packed never gets the secret into the bundle.
func TestPackRace(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := writeTree(t, map[string][]byte{"d/f": []byte("public"), "spare": []byte("public")})
	file, inner := filepath.Join(dir, "d", "f"), filepath.Join(dir, "d")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Remove(file)
			_ = os.Symlink(secret, file)
			_ = os.Remove(file)
			_ = os.WriteFile(file, []byte("public"), 0o644)
			_ = os.Rename(inner, inner+"2")
			_ = os.Symlink(filepath.Dir(secret), inner)
			_ = os.Remove(inner)
			_ = os.Rename(inner+"2", inner)
		}
	})
	stolen := bundle.Hash(sha256.Sum256([]byte("secret")))
	packed := 0
	for range 2000 {
		m, err := bundle.Pack(t.Context(), dir, nil, bundle.PackOptions{})
		if err != nil {
			continue
		}
		packed++
		for _, e := range m.Entries {
			for _, h := range e.Chunks {
				if h == stolen {
					t.Fatalf("%s has the secret", e.Path)
				}
			}
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d of 2000 packed whole", packed)
}
