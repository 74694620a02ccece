//go:build crash && linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// crashBank is a real node with an output for each of so many wallets.
type crashBank struct {
	dir    string
	socket string
	net    chain.Network
	node   *node.Node
	opened atomic.Int64
}

const (
	crashTills   = 2000
	crashWorkers = 12
)

func newCrashBank(t *testing.T) *crashBank {
	dir, err := os.MkdirTemp("", "till") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &crashBank{dir: dir, net: chaintest.Network()}
	funds := map[chain.Address]chain.Lovelace{}
	for n := range crashTills {
		funds[tillOwner(n).Address] = tillFunds
	}
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: filepath.Join(dir, "node"), Magic: b.net.Magic, SlotLength: 100 * time.Millisecond, Funds: funds,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	b.socket = p.Socket
	if b.node, err = node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: b.net}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.node.Close() })
	return b
}

func tillOwner(n int) chaintest.Actor { return chaintest.NewActor(fmt.Sprint("till ", n)) }

// life opens a wallet and lives with it.
func (b *crashBank) life(ctx context.Context, s scene, kills ...kill) (where []string, commands int, err error) {
	n := int(b.opened.Add(1)) - 1
	l := &till{crashBank: b, scene: s, n: n, owner: tillOwner(n), shop: chaintest.NewActor(fmt.Sprint("shop of till ", n))}
	if l.home, err = os.MkdirTemp(b.dir, ""); err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.home)) }()
	pass := func() (string, error) { return "till", nil }
	if err := wallet.Save(filepath.Join(l.home, "wallet.age"), wallet.Secret{PaymentKey: l.owner.Key.Seed()}, pass, 10); err != nil {
		return nil, 0, err
	}
	r := relay{filepath.Join(l.home, "r"), l.sees}
	stop, err := r.start(b.socket)
	if err != nil {
		return nil, 0, err
	}
	defer stop()
	pace := testnet.DevnetPace()
	err = testnet.Network{
		Name: "devnet", Magic: b.net.Magic, Contracts: plutus.Devnet(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "tNTX"}), Socket: r.socket,
		Bootstrap: []string{}, MarginMS: tillMargin, LockMS: pace.LockMS, PollMS: pace.PollMS, Confirmations: 1, Policy: pace.Policy,
	}.Save(filepath.Join(l.home, "network.json"))
	if err != nil {
		return nil, 0, err
	}
	return l.live(ctx, kills...)
}

// TestCrashPayments kills a command that pays at every write to its database and its terminal and at every segment
// between it and the node, each of the times that it has to be given until it has told how it ended; and then at several
// of them in one life.
func TestCrashPayments(t *testing.T) {
	b := newCrashBank(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) { b.crashes(t, s) })
	}
}

func (b *crashBank) crashes(t *testing.T, s scene) {
	d := &deaths{at: map[string]int{}, survived: map[string]int{}}
	workers := make(chan struct{}, crashWorkers)
	live := func(kills ...kill) (killed bool, commands int) {
		workers <- struct{}{}
		defer func() { <-workers }()
		where, commands, err := b.life(t.Context(), s, kills...)
		if err != nil {
			err = fmt.Errorf("%v: %w", kills, err)
		}
		d.note(where, err)
		return len(where) > 0, commands
	}
	_, commands := live()
	for range 5 { // a process that sees more or fewer blocks than the one before does the same things at other places
		d.sweep(commands, live)
		if len(d.spared()) == 0 {
			break
		}
	}
	var wg sync.WaitGroup
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		kills := make([]kill, 2+rnd.IntN(3))
		for i := range kills {
			if n := 1 + rnd.IntN(15); rnd.IntN(2) == 0 {
				kills[i].inside = n
			} else {
				kills[i].wire = n
			}
		}
		wg.Go(func() { live(kills...) })
	}
	wg.Wait()
	d.print()
	for _, err := range d.errs {
		t.Error(err)
	}
	for _, must := range d.spared() {
		t.Errorf("never killed at %q: the points are not where the writes are", must)
	}
}

// sweep kills each of a scene's commands at every place, one after the other.
func (d *deaths) sweep(commands int, live func(...kill) (bool, int)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for nth := range commands {
		for _, at := range []func(n int) kill{func(n int) kill { return kill{inside: n} }, func(n int) kill { return kill{wire: n} }} {
			wg.Go(func() {
				for n, beyond := 1, 0; beyond < 3; n++ { // how many blocks a process sees is not always the same
					kills := make([]kill, nth+1)
					kills[nth] = at(n)
					if killed, _ := live(kills...); !killed {
						beyond++
					}
				}
			})
		}
	}
}

// spared are the places that matter where nothing was killed yet.
func (d *deaths) spared() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc([]string{
		"wallet.db: insert payments", "wallet.db: commit", "before it told the outcome", "after it told the outcome",
		"wire: submission, before it reaches the node", "wire: submission, before the node's answer",
	}, func(at string) bool { return d.at[at] > 0 })
}
