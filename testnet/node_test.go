package testnet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/testnet"
)

func TestStartNode(t *testing.T) {
	ctx := t.Context()
	dir, err := os.MkdirTemp("", "testnet") // shorter than t.TempDir: a socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := testnet.NodeConfig{
		Dir: dir, Magic: 42, SlotLength: 100 * time.Millisecond, EpochLength: 2000,
		Funds: map[chain.Address]chain.Lovelace{chain.Enterprise(chain.Network{}, chain.KeyHash{1}): 5_000_000},
	}
	p, err := testnet.StartNode(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if p.Magic != 42 || p.SlotLengthMS != 100 || p.PID == 0 || p.SystemStart.IsZero() {
		t.Errorf("ready %+v", p.NodeReady)
	}
	if _, err := os.Stat(p.Socket); err != nil {
		t.Error(err)
	}
	if second, err := testnet.StartNode(ctx, cfg); !errors.Is(err, testnet.ErrNode) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second node on the same directory: %v", err)
		if err == nil {
			second.Kill()
		}
	}
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("stopped, but not done")
	}
	again, err := testnet.StartNode(ctx, testnet.NodeConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if again.Magic != p.Magic || again.SlotLengthMS != p.SlotLengthMS {
		t.Errorf("the same chain again: %+v, was %+v", again.NodeReady, p.NodeReady)
	}
	if err := again.Kill(); err != nil {
		t.Error(err)
	}
}

func TestStartNodeFails(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]testnet.NodeConfig{
		"no program": {Dir: dir, Program: filepath.Join(dir, "none")},
		"no funds":   {Dir: dir},
	} {
		p, err := testnet.StartNode(t.Context(), cfg)
		if !errors.Is(err, testnet.ErrNode) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				p.Kill()
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := testnet.StartNode(ctx, testnet.NodeConfig{Dir: dir}); err == nil {
		t.Error("started with a context that had ended")
	}
}
