package node

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestAwaitBlockEnds waits for nodes that never have a block.
func TestAwaitBlockEnds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := awaitBlock(t.Context(), socket, 42, 7, time.Second); !errors.Is(err, ErrStalled) {
		t.Errorf("no node: %v", err)
	}
	l, err := net.Listen("unix", socket) // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := awaitBlock(t.Context(), socket, 42, 7, time.Second); !errors.Is(err, ErrStalled) {
		t.Errorf("a silent node: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := awaitBlock(ctx, socket, 42, 7, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
