//go:build onnode

package plutus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
)

// field is the chain of a real node, on which a bank makes whatever outputs an attack needs. What is submitted here is
// encoded by chaintest.Raw: no rule of ours stands before the node's.
type field struct {
	*node.Node
	ctx        context.Context
	contracts  *Contracts
	clock      chain.Clock
	ledger     chain.Params
	bank       chaintest.Actor
	coin       chain.UTxO                     // all that the bank has
	collateral map[chain.KeyHash][]chain.UTxO // of each actor
	references []chain.UTxO                   // the published scripts
	made       map[chain.OutRef]bool          // for an attack's use: no fuel
	signers    []chaintest.Actor
}

// patience is how long a transaction may wait for its block.
const patience = 2 * time.Minute

func newField(tb testing.TB, n *node.Node, bank chaintest.Actor) *field {
	tb.Helper()
	p := Devnet(ntx)
	p.MaxRangeMS = 400_000 // so that a range can be too long on a chain that has just begun
	f := &field{Node: n, ctx: tb.Context(), bank: bank, collateral: map[chain.KeyHash][]chain.UTxO{}, made: map[chain.OutRef]bool{}}
	var err error
	if f.contracts, err = New(n.Network(), p); err != nil {
		tb.Fatal(err)
	}
	if f.clock, err = n.Clock(f.ctx); err != nil {
		tb.Fatal(err)
	}
	if f.ledger, err = n.Params(f.ctx); err != nil {
		tb.Fatal(err)
	}
	us, err := n.UTxOs(f.ctx, bank.Address)
	if err != nil || len(us) != 1 {
		tb.Fatalf("the bank has %d outputs: %v", len(us), err)
	}
	f.coin = us[0]
	f.furnish(tb)
	return f
}

// furnish gives everybody coins and collateral, and publishes the scripts.
func (f *field) furnish(tb testing.TB) {
	tb.Helper()
	w := f.world(tb, moments{})
	f.signers = append(w.everyone(), f.bank, chaintest.NewActor("stake"))
	twenty := chain.Coins(20_000_000)
	apart := f.fund(tb, chain.Output{Address: f.bank.Address, Value: twenty})
	f.collateral[f.bank.Hash] = apart
	for _, a := range w.everyone() {
		outs := []chain.Output{{Address: a.Address, Value: twenty}}
		for _, u := range purse(a) {
			outs = append(outs, u.Output)
		}
		f.collateral[a.Hash] = f.fund(tb, outs...)[:1]
	}
	var published []chain.UTxO // in two transactions: one has not room for all
	for _, d := range []chain.Draft{f.contracts.Deploy(f.frame(tb)), f.contracts.DeploySlices(f.frame(tb))} {
		published = append(published, f.fund(tb, f.leastCoins(d.Outputs)...)...)
	}
	f.settled(tb, published[len(published)-1])
	f.references = f.contracts.FindReferences(published)
	if len(f.references) != 5 {
		tb.Fatalf("%d published scripts", len(f.references))
	}
}

func (f *field) leastCoins(outs []chain.Output) []chain.Output {
	for i := range outs {
		outs[i].Value.Coin = max(outs[i].Value.Coin, f.ledger.MinCoin(outs[i]))
	}
	return outs
}

// world is a job with a seed of its own.
func (f *field) world(tb testing.TB, m moments) *world {
	tb.Helper()
	seed := chain.UTxO{}
	if m != (moments{}) {
		seed = f.fund(tb, f.seedOutput())[0]
	}
	w := worldOf(tb, f.contracts, m, f.clock, f.ledger, seed)
	w.published = f.references
	return w
}

func (f *field) seedOutput() chain.Output {
	return chain.Output{Address: chaintest.NewActor("requester").Address, Value: chain.Coins(5_000_000)}
}

// now is the slot of the last block.
func (f *field) now(tb testing.TB) chain.Slot {
	tb.Helper()
	tip, err := f.Tip(f.ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return tip.Slot
}

// frame is a range around now.
func (f *field) frame(tb testing.TB) Frame {
	now := f.now(tb)
	return Frame{From: now, Until: now + 1000, References: f.references}
}

// fund makes outputs out of the bank's money, minting what they hold beside ADA.
func (f *field) fund(tb testing.TB, outs ...chain.Output) (us []chain.UTxO) {
	tb.Helper()
	for batch := range slices.Chunk(outs, 40) {
		fr := f.frame(tb)
		d := chain.Draft{From: fr.From, Until: fr.Until, Outputs: batch}
		mint(tb, &d)
		tx, err := f.send(chaintest.Raw{Draft: d, Paying: []chain.UTxO{f.coin}, Change: f.bank.Address, Collateral: f.collateral[f.bank.Hash]})
		if err != nil {
			tb.Fatal("funding: ", err)
		}
		b, err := tx.Inspect()
		if err != nil {
			tb.Fatal(err)
		}
		f.coin = b.Outputs[len(batch)]
		us = append(us, b.Outputs[:len(batch)]...)
	}
	for _, u := range us {
		f.made[u.Ref] = !slices.ContainsFunc(f.signers, func(a chaintest.Actor) bool { return purseCoin(a, u) })
	}
	return us
}

// purseCoin says whether an output is one of an actor's coins to pay with.
func purseCoin(a chaintest.Actor, u chain.UTxO) bool {
	return slices.ContainsFunc(purse(a), func(p chain.UTxO) bool { return p.Address == u.Address && p.Value.Equal(u.Value) })
}

// mint makes a draft mint what its outputs hold: of policies that let everybody.
func mint(tb testing.TB, d *chain.Draft) {
	tb.Helper()
	sum := map[chain.ScriptHash]map[string]int64{}
	for _, o := range d.Outputs {
		for id, q := range o.Value.Assets {
			if sum[id.Policy] == nil {
				sum[id.Policy] = map[string]int64{}
			}
			sum[id.Policy][id.Name] += int64(q)
		}
	}
	for policy, assets := range sum {
		script, ok := anybodys(policy)
		if !ok {
			tb.Fatalf("policy %s lets nobody mint", policy)
		}
		d.Mint = append(d.Mint, chain.Mint{Policy: policy, Assets: assets, Redeemer: raw(integer(0))})
		d.Scripts = append(d.Scripts, script)
	}
}

// anybodys is the script of a policy with which anybody can mint.
func anybodys(policy chain.ScriptHash) ([]byte, bool) {
	for _, n := range []int{ntxScript, dustScript} {
		if s := chaintest.Accepts(n); chain.HashScript(s) == policy {
			return s, true
		}
	}
	return nil, false
}

// send signs a transaction by everybody it asks, and submits it.
func (f *field) send(r chaintest.Raw, without ...chain.KeyHash) (*chain.Tx, error) {
	tx, err := f.encode(r, without...)
	if err != nil {
		return nil, err
	}
	return tx, f.Submit(f.ctx, tx.Bytes())
}

func (f *field) encode(r chaintest.Raw, without ...chain.KeyHash) (*chain.Tx, error) {
	tx, err := r.Encode(f.ledger, f.Network())
	if err != nil {
		return nil, err
	}
	needed := tx.Needed()
	if r.Fields != nil {
		needed = append(needed, chaintest.NewActor("stake").Hash)
	}
	for _, k := range needed {
		if slices.Contains(without, k) {
			continue
		}
		i := slices.IndexFunc(f.signers, func(a chaintest.Actor) bool { return a.Hash == k })
		if i < 0 {
			if k == f.bank.Hash { // the first payment, before anybody is known
				if err := f.bank.Sign(tx); err != nil {
					return nil, err
				}
				continue
			}
			return nil, fmt.Errorf("nobody has key %s", k)
		}
		if err := f.signers[i].Sign(tx); err != nil {
			return nil, err
		}
	}
	return tx, nil
}

// settled waits until an output is in a block.
func (f *field) settled(tb testing.TB, u chain.UTxO) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	for {
		us, err := f.UTxOs(ctx, u.Address)
		if err != nil {
			tb.Fatal(err)
		}
		if slices.ContainsFunc(us, func(x chain.UTxO) bool { return x.Ref == u.Ref }) {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("output %s does not come into a block: %v", u.Ref, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// reach waits for a slot.
func (f *field) reach(tb testing.TB, s chain.Slot) {
	tb.Helper()
	for f.now(tb) < s {
		select {
		case <-f.ctx.Done():
			tb.Fatal(context.Cause(f.ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// coins are what an actor pays with: all it has but what was made for attacks and its collateral.
func (f *field) coins(tb testing.TB, a chaintest.Actor) (coins []chain.UTxO) {
	tb.Helper()
	us, err := f.UTxOs(f.ctx, a.Address)
	if err != nil {
		tb.Fatal(err)
	}
	for _, u := range us {
		if !f.made[u.Ref] && u.Script == nil && u.Datum == nil && u.Ref != f.collateral[a.Hash][0].Ref {
			coins = append(coins, u)
		}
	}
	if len(coins) == 0 {
		tb.Fatal(errors.New("an actor has no coins left"))
	}
	return coins
}
