//go:build linux

package testnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/testnet"
)

// program is the program tally: of $TALLY_BIN, or built here.
func program(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TALLY_BIN"); dir != "" {
		return filepath.Join(dir, "tally")
	}
	path := filepath.Join(t.TempDir(), "tally")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/tallycompute/tally/cmd/tally")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building tally: %v\n%s", err, out)
	}
	return path
}

// smaller is the demo with fewer epochs and points and shorter waits.
func smaller(t *testing.T) testnet.DemoConfig {
	pace := testnet.DevnetPace()
	pace.LockMS, pace.MarginMS = 15_000, 4000
	pace.Policy = escrow.Policy{DeclineLead: 2000, CommitLead: 8000, Patience: 10_000, Grace: 4000}
	return testnet.DemoConfig{
		Out: filepath.Join(t.TempDir(), "out"), Bin: program(t), Pace: &pace, Progress: t.Output(), Table: t.Output(),
		Edits: map[string]map[string]string{
			"digits":     {`EPOCHS: "10"`: `EPOCHS: "2"`},
			"montecarlo": {`POINTS: "1000000"`: `POINTS: "100000"`, "start: 30s, run: 30s, collect: 20s": "start: 20s, run: 20s, collect: 10s"},
			"inference":  {"window: 20s": "window: 5s"},
		},
	}
}

// TestDemo runs the demo, smaller, looks at its processes meanwhile, and verifies what it leaves.
func TestDemo(t *testing.T) {
	cfg := smaller(t)
	apart := newApart(t)
	cfg.Started = apart.start
	err := testnet.Demo(t.Context(), cfg)
	apart.stop()
	if err != nil {
		t.Fatal(err)
	}
	apart.judge()
	var said bytes.Buffer
	if err := testnet.Verify(t.Context(), cfg.Out, &said); err != nil {
		t.Fatal(err)
	}
	t.Log(said.String())
	path := filepath.Join(cfg.Out, "summary.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(b, []byte(`"paid_untx": `), []byte(`"paid_untx": 1`), 1)
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := testnet.Verify(context.WithoutCancel(t.Context()), cfg.Out, io.Discard); !errors.Is(err, testnet.ErrClaim) {
		t.Errorf("a changed payment: %v", err)
	}
}

// TestIdentityAllreduce is the negative control: providers mount an SDK whose allreduce gives back what it was given.
// Every rank then trains a model of its own, and the demo must fail.
func TestIdentityAllreduce(t *testing.T) {
	const starts = `        """Starts an allreduce in place; the region is freed at its end. In an elastic job the result lies beside it first, so
        that the operation can be done again."""
`
	const identity = `        result = finish() if finish else None
        region.free()
        return type("Identity", (), {"done": lambda _: True, "wait": lambda _: result})()
`
	cfg := smaller(t)
	var world *testnet.World
	cfg.Started = func(w *testnet.World) error {
		world = w
		for _, p := range w.Providers {
			path := filepath.Join(p.Home, "sdk", "tally", "_core.py")
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if bytes.Count(b, []byte(starts)) != 1 {
				return errors.New("the SDK's allreduce is not where this test looks for it")
			}
			if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, bytes.Replace(b, []byte(starts), []byte(identity), 1), 0o644)); err != nil {
				return err
			}
		}
		return nil
	}
	err := testnet.Demo(t.Context(), cfg)
	if !errors.Is(err, testnet.ErrDemo) || !strings.Contains(err.Error(), "parameter") {
		t.Errorf("trained without summing, and the demo said: %v", err)
	}
	engine, err := container.New(container.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, p := range world.Providers {
		if left, err := engine.List(context.WithoutCancel(t.Context()), p.Peer.String()); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %d containers: %v", p.Name, len(left), err)
		}
	}
}
