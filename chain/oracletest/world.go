package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// world is a chain of its own and the people on it. It knows the unspent outputs without asking the node: what it
// submits, it applies.
type world struct {
	node      *node.Node
	submitter *submitter
	params    chain.Params
	clock     chain.Clock
	net       chain.Network
	contracts *plutus.Contracts
	ntx       chain.AssetID
	people    map[chain.KeyHash]chaintest.Actor
	utxos     map[chain.OutRef]chain.UTxO
	spent     chain.OutRef // an input of the transaction before
	published []chain.UTxO // the contracts as reference scripts
	jury      *jury
	cases     int
	made      map[chain.TxID]string // by what case
}

// genesisADA is what the faucet has.
const genesisADA = 10_000_000_000_000

// collateralCoin is an output kept apart: the one that Tally's wallet keeps.
const collateralCoin = 5_000_000

func mintPolicy() []byte { return chaintest.Accepts(7) }

// newWorld connects to a fresh node whose genesis funds the faucet.
func newWorld(ctx context.Context, p *testnet.NodeProcess) (w *world, err error) {
	w = &world{net: p.Network(), people: map[chain.KeyHash]chaintest.Actor{}, utxos: map[chain.OutRef]chain.UTxO{}, made: map[chain.TxID]string{}}
	if w.node, err = node.Dial(ctx, node.Config{Socket: p.Socket, Network: w.net}); err != nil {
		return nil, err
	}
	if w.submitter, err = dial(p); err != nil {
		return nil, err
	}
	if w.params, err = w.node.Params(ctx); err != nil {
		return nil, err
	}
	if w.clock, err = w.node.Clock(ctx); err != nil {
		return nil, err
	}
	us, err := w.node.UTxOs(ctx, w.person("faucet").Address)
	if err != nil {
		return nil, err
	}
	for _, u := range us {
		w.utxos[u.Ref] = u
	}
	w.ntx = chain.AssetID{Policy: chain.HashScript(mintPolicy()), Name: "tNTX"}
	w.contracts, err = plutus.New(w.net, plutus.Devnet(w.ntx))
	return w, err
}

// person is somebody whose key follows from a name.
func (w *world) person(name string) chaintest.Actor {
	a := chaintest.NewActor(name)
	w.people[a.Hash] = a
	return a
}

// slot is the present one.
func (w *world) slot() chain.Slot {
	s, err := w.clock.TimeToSlot(chain.Time(time.Now().UnixMilli()))
	if err != nil {
		panic(err) // the present is past the network's start and before its horizon
	}
	return s
}

// frame is a validity range around the present.
func (w *world) frame(slots chain.Slot) plutus.Frame {
	now := w.slot()
	return plutus.Frame{From: now - min(now, 5), Until: now + slots}
}

// sorted lists the unspent outputs.
func (w *world) sorted() []chain.UTxO {
	return slices.SortedFunc(maps.Values(w.utxos), func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
}

// coins are what somebody has at any address of its key: what it pays with, and collateral.
func (w *world) coins(a chaintest.Actor) (pay, collateral []chain.UTxO) {
	for _, u := range w.sorted() {
		k, ok := u.Address.Key()
		switch {
		case !ok || k != a.Hash || u.Script != nil:
		case len(u.Value.Assets) == 0 && u.Value.Coin == collateralCoin:
			collateral = append(collateral, u)
		default:
			pay = append(pay, u)
		}
	}
	return pay, collateral
}

// find is the first output of somebody's that fits.
func (w *world) find(a chaintest.Actor, fits func(chain.UTxO) bool) (chain.UTxO, error) {
	pay, _ := w.coins(a)
	if i := slices.IndexFunc(pay, fits); i >= 0 {
		return pay[i], nil
	}
	return chain.UTxO{}, fmt.Errorf("%s has no such coin among %d", a.Address, len(pay))
}

// resolve finds what a transaction refers to, as far as it exists.
func (w *world) resolve(r *raw) (out []chain.UTxO) {
	seen := map[chain.OutRef]bool{}
	for _, field := range []uint64{bodyInputs, bodyCollateral, bodyReferences} {
		for _, ref := range r.refs(field) {
			if u, ok := w.utxos[ref]; ok && !seen[ref] {
				seen[ref] = true
				out = append(out, u)
			}
		}
	}
	return out
}

// apply does to the unspent outputs what a transaction does.
func (w *world) apply(b chain.TxBody) {
	for _, in := range b.Inputs {
		delete(w.utxos, in)
	}
	for _, u := range b.Outputs {
		w.utxos[u.Ref] = u
	}
	w.spent = b.Inputs[0]
}

// patience is how long the node may take to put into blocks what it has accepted.
const patience = 2 * time.Minute

// settled waits until the node's unspent outputs are ours, at every address: every transaction is in a block.
func (w *world) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := map[chain.Address]map[chain.OutRef]chain.UTxO{}
	for ref, u := range w.utxos {
		if want[u.Address] == nil {
			want[u.Address] = map[chain.OutRef]chain.UTxO{}
		}
		want[u.Address][ref] = u
	}
	for a, ours := range want {
		for {
			theirs, err := w.node.UTxOs(ctx, a)
			if err != nil {
				return err
			}
			// This node counts a key's outputs at addresses with a stake part to the key's own address.
			theirs = slices.DeleteFunc(theirs, func(u chain.UTxO) bool { return u.Address != a })
			off := w.differs(ours, theirs)
			if off == nil {
				break
			}
			select {
			case <-ctx.Done():
				return off
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

// differs says how the node's outputs at an address differ from ours.
func (w *world) differs(ours map[chain.OutRef]chain.UTxO, theirs []chain.UTxO) error {
	seen := map[chain.OutRef]bool{}
	for _, u := range theirs {
		seen[u.Ref] = true
		if o, ok := ours[u.Ref]; ok && !slices.Equal(o.Encode(), u.Encode()) {
			return fmt.Errorf("the node has output %s as %x, not %x", u.Ref, u.Encode(), o.Encode())
		}
	}
	for ref := range ours {
		if !seen[ref] {
			return fmt.Errorf("transaction %s is not in a block: output %s", w.made[ref.Tx], ref)
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Errorf("the node has %d outputs, %d are right", len(theirs), len(ours))
	}
	return nil
}

// waitFor lets time pass until a slot.
func (w *world) waitFor(ctx context.Context, s chain.Slot) error {
	for w.slot() <= s {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}
