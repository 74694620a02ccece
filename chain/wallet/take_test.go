package wallet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// takerEnv makes the test binary a process that takes outputs of the file it names, see TestMain.
const takerEnv = "TAKER_FILE"

const takers, takerCoins = 8, 60

func TestMain(m *testing.M) {
	path := os.Getenv(takerEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := takeAll(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// takeAll pays with eight jobs at once until nothing is left, and prints each output that it got.
func takeAll(path string) error {
	w, err := New(Secret{Mnemonic: words24}, chaintest.Network())
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := OpenReservations(ctx, path)
	if err != nil {
		return err
	}
	var all []chain.UTxO
	for i := range uint32(takerCoins) {
		all = append(all, coin(w, i, chain.Coins(10_000_000)))
	}
	var wg sync.WaitGroup
	errs := make([]error, takers)
	got := make([][]string, takers)
	for i := range takers {
		wg.Go(func() {
			for errs[i] == nil {
				var tx *chain.Tx
				tx, errs[i] = r.Take(ctx, all, func(id chain.TxID) string { return "send " + id.String() }, 1, payBob(w))
				if errs[i] != nil {
					break
				}
				body, err := tx.Inspect()
				errs[i] = err
				for _, in := range body.Inputs {
					got[i] = append(got[i], in.String())
				}
			}
			if errors.Is(errs[i], chain.ErrInsufficient) {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	for _, refs := range got {
		for _, ref := range refs {
			fmt.Println(ref)
		}
	}
	return errors.Join(append(errs, r.Close())...)
}

func payBob(w *Wallet) func(coins, coll []chain.UTxO) (*chain.Tx, error) {
	bob := chaintest.NewActor("bob")
	return func(coins, coll []chain.UTxO) (*chain.Tx, error) {
		d := chain.Draft{Until: 9, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(8_000_000)}}}
		return chain.Balance(d, coins, w.Address(), coll, chaintest.Params(), chaintest.Clock(), w.Network())
	}
}

// TestParallelJobs: eight jobs in each of two processes take outputs of one wallet until none is left: each output
// goes to exactly one of them.
func TestParallelJobs(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "wallet.db")
	var outs [2]strings.Builder
	var cmds []*exec.Cmd
	for i := range outs {
		c := exec.CommandContext(t.Context(), self)
		c.Env, c.Stdout, c.Stderr = append(os.Environ(), takerEnv+"="+path), &outs[i], os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, c)
	}
	for _, c := range cmds {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for i := range outs {
		for _, ref := range strings.Fields(outs[i].String()) {
			if seen[ref] {
				t.Errorf("%s was given twice", ref)
			}
			seen[ref] = true
		}
	}
	if len(seen) != takerCoins-1 { // one is kept as collateral
		t.Errorf("%d of %d outputs were given", len(seen), takerCoins)
	}
}

// TestTakeReserved: a transaction that insists on a reserved output is an error, and reserves nothing.
func TestTakeReserved(t *testing.T) {
	w := testWallet(t)
	r := open(t, filepath.Join(t.TempDir(), "wallet.db"))
	all := []chain.UTxO{coin(w, 0, chain.Coins(20_000_000)), coin(w, 1, chain.Coins(30_000_000)), coin(w, 2, chain.Coins(9_000_000))}
	if err := r.Reserve(t.Context(), refs(0), "a job", 1); err != nil {
		t.Fatal(err)
	}
	_, err := r.Take(t.Context(), all, chain.TxID.String, 1, func(coins, coll []chain.UTxO) (*chain.Tx, error) {
		d := chain.Draft{Until: 9, Inputs: []chain.Input{{UTxO: all[0]}, {UTxO: all[1]}}}
		return chain.Balance(d, nil, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
	})
	if got, e := r.All(t.Context()); !errors.Is(err, ErrReserved) || e != nil || len(got) != 1 {
		t.Errorf("%v; reserved %v %v", err, got, e)
	}
}
