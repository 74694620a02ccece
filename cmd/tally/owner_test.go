package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Names of killed processes go, and no others.
func TestSweep(t *testing.T) {
	a := &app{home: t.TempDir(), logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, name := range []string{"paying-1", "wallet.db"} {
		if err := os.WriteFile(a.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c coffer
	name, err := c.name(a)
	if err != nil {
		t.Fatal(err)
	}
	a.sweep()
	if a.lives("paying-1") || !a.lives(name) {
		t.Error("who lives is not known")
	}
	left, err := filepath.Glob(a.path("*"))
	if err != nil || len(left) != 2 || left[0] != a.path(name) || left[1] != a.path("wallet.db") {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// Whoever is gone is dead to everybody who asks, also at once.
func TestLives(t *testing.T) {
	a := &app{home: t.TempDir(), logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	asks, err := os.Create(a.path("paying-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := shareFile(asks); err != nil {
		t.Fatal(err)
	}
	if a.lives("paying-1") {
		t.Error("somebody who asks was taken for the owner")
	}
	if err := asks.Close(); err != nil {
		t.Error(err)
	}
}

// Whoever has a name keeps it, however many sweep.
func TestNames(t *testing.T) {
	a := &app{home: t.TempDir(), logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				a.sweep()
			}
		})
	}
	var owning sync.WaitGroup
	for range 8 {
		owning.Go(func() {
			for range 200 {
				var c coffer
				name, err := c.name(a)
				if err != nil {
					t.Error(err)
					return
				}
				if !a.lives(name) {
					t.Error("a name was taken from its owner")
				}
				if err := c.close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	owning.Wait()
	close(done)
	wg.Wait()
}
