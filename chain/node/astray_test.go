package node

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger"

	"github.com/tallycompute/tally/chain"
)

// takes is a handler that notes what it is given.
type takes struct{ blocks []chain.Block }

func (h *takes) Forward(_ context.Context, b chain.Block, _ chain.Point) error {
	h.blocks = append(h.blocks, b)
	return nil
}

func (h *takes) Backward(context.Context, chain.Point) error { return nil }

// A block is handed on after the one that it names, and after the origin; not after any other.
func TestAstray(t *testing.T) {
	files, err := filepath.Glob("../testdata/real/*_conway*.block.hex")
	if err != nil || len(files) == 0 {
		t.Fatal("no real blocks: ", err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	b, before, err := decodeBlock(ledger.BlockTypeConway, raw)
	if err != nil {
		t.Fatal(err)
	}
	m, h := move{era: ledger.BlockTypeConway, block: raw, tip: toPoint(b.Point)}, &takes{}
	for _, last := range []chain.Point{{}, {Slot: b.Slot - 1, Hash: before}} {
		if now, err := m.handle(t.Context(), last, h); err != nil || now != b.Point {
			t.Errorf("after %v: %v %v", last, now, err)
		}
	}
	other := chain.Point{Slot: b.Slot - 1, Hash: b.Hash}
	var a *astray
	if now, err := m.handle(t.Context(), other, h); !errors.As(err, &a) || a.after != other || now != other || !errors.Is(err, ErrConnection) {
		t.Errorf("%v %v", now, err)
	}
	if len(h.blocks) != 2 {
		t.Errorf("%d blocks were handed on", len(h.blocks))
	}
}
