package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// handing is a payer on a real node, and somebody else there.
type handing struct {
	*testing.T
	*payer
	process *testnet.NodeProcess
	node    *node.Node
	friend  chaintest.Actor
	shared  chain.UTxO // the friend's
}

// genesis is where the ledger puts an address's initial funds: the transaction is the address's hash.
func genesis(a chain.Address, coin chain.Lovelace) chain.UTxO {
	return chain.UTxO{Ref: chain.OutRef{Tx: blake2b.Sum256(a.Bytes())}, Output: chain.Output{Address: a, Value: chain.Coins(coin)}}
}

func newHanding(t *testing.T) *handing {
	dir, err := os.MkdirTemp("", "hand")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w, err := wallet.New(wallet.Secret{PaymentKey: chaintest.NewActor("payer").Key.Seed()}, chaintest.Network(), wallet.Enterprise())
	if err != nil {
		t.Fatal(err)
	}
	h := &handing{T: t, friend: chaintest.NewActor("friend")}
	h.shared = genesis(h.friend.Address, 50_000_000)
	funds := map[chain.Address]chain.Lovelace{h.friend.Address: h.shared.Value.Coin}
	var own []chain.UTxO
	for i := range byte(8) { // a genesis has one output for an address: these differ in their stake keys
		u := genesis(chain.Base(chaintest.Network(), w.PaymentKey(), chain.KeyHash{i}), 100_000_000)
		own, funds[u.Address] = append(own, u), u.Value.Coin
	}
	h.process, err = testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: dir, Magic: chaintest.Network().Magic, SlotLength: 200 * time.Millisecond, EpochLength: 2000,
		Funds: funds,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.process.Kill() })
	if h.node, err = node.Dial(t.Context(), node.Config{Socket: h.process.Socket, Network: chaintest.Network(), Timeout: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.node.Close() })
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(chain.AssetID{Policy: chain.ScriptHash{1}, Name: "tNTX"}))
	if err != nil {
		t.Fatal(err)
	}
	if h.payer, err = openPayer(t.Context(), dir, w, h.node, c, own, time.Second); err != nil {
		t.Fatal(err)
	}
	h.follow(t, h.node)
	h.blocks(1)
	return h
}

// blocks waits for so many.
func (h *handing) blocks(n chain.Slot) {
	h.Helper()
	if err := h.ix.WaitSlot(h.Context(), h.ix.Tip().Slot+n); err != nil {
		h.Fatal(err)
	}
}

// draft pays somebody, valid for so many slots.
func (h *handing) draft(coin chain.Lovelace, slots chain.Slot) chain.Draft {
	tip := h.ix.Tip().Slot
	return chain.Draft{
		Outputs: []chain.Output{{Address: chaintest.NewActor("shop").Address, Value: chain.Coins(coin)}}, From: tip, Until: tip + slots,
	}
}

// pay is a payment out of the wallet, with further inputs that others sign for.
func (h *handing) pay(d chain.Draft, sign ...chaintest.Actor) *chain.Tx {
	h.Helper()
	tx, err := h.purse.Pay(h.Context(), d, "test")
	if err != nil {
		h.Fatal(err)
	}
	for _, a := range sign {
		if err := a.Sign(tx); err != nil {
			h.Fatal(err)
		}
	}
	return tx
}

func (h *handing) wants(tx []byte, want ...chain.Outcome) {
	h.Helper()
	got, err := h.hand.Submit(h.Context(), tx)
	for _, w := range want {
		if got == w {
			h.Logf("%s: %v", got, err)
			return
		}
	}
	h.Fatalf("%s, %v; want %s", got, err, want)
}

// lands hands a transaction in until it is in a block.
func (h *handing) lands(tx *chain.Tx) {
	h.Helper()
	if err := h.hand.Land(h.Context(), tx.Bytes(), 1); err != nil {
		h.Fatal(err)
	}
}

// TestHandedIn: what becomes of transactions at a real node, with its own words, is told apart.
func TestHandedIn(t *testing.T) {
	h := newHanding(t)
	at := h.process.Producers[0]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tx := h.pay(h.draft(5_000_000, 200))
	must(at.LimitMempool(t.Context(), 0))
	h.wants(tx.Bytes(), chain.NotNow)
	must(at.LimitMempool(t.Context(), 8<<20))
	must(at.Stall(t.Context(), 2*time.Second))
	h.wants(tx.Bytes(), chain.Accepted)
	h.wants(tx.Bytes(), chain.Waiting)
	must(at.Stall(t.Context(), 0))
	h.lands(tx)
	h.wants(tx.Bytes(), chain.Included)

	body, err := tx.Inspect()
	must(err)
	spent, _, err := h.ix.UTxO(t.Context(), body.Inputs[0])
	must(err)
	again := h.draft(6_000_000, 200)
	again.Inputs = []chain.Input{{UTxO: spent.UTxO}}
	h.wants(h.pay(again).Bytes(), chain.SpentByUs)

	// The friend promises an input, and spends it elsewhere.
	joint := h.draft(55_000_000, 200)
	joint.Inputs = []chain.Input{{UTxO: h.shared}}
	jointly := h.pay(joint, h.friend)
	alone := chain.Draft{Inputs: joint.Inputs, Outputs: h.draft(5_000_000, 0).Outputs, From: joint.From, Until: joint.Until}
	params, err := h.node.Params(t.Context())
	must(err)
	clock, err := h.node.Clock(t.Context())
	must(err)
	elsewhere, err := chain.Balance(alone, nil, h.friend.Address, nil, params, clock, chaintest.Network())
	must(err)
	must(h.friend.Sign(elsewhere))
	must(h.node.Submit(t.Context(), elsewhere.Bytes()))
	h.blocks(3)
	var e *chain.SubmitError
	if err := h.hand.Land(t.Context(), jointly.Bytes(), 1); !errors.As(err, &e) || e.Outcome != chain.SpentByOthers || *e.Input != h.shared.Ref {
		t.Errorf("a friend's broken promise: %v", err)
	}
	must(h.kept.Release(t.Context(), "test "+jointly.ID().String()))

	forged := h.pay(h.draft(7_000_000, 200))
	bare, err := chain.DecodeTx(forged.Bytes())
	must(err)
	_, sig, _ := bare.Witness(h.wallet.PaymentKey())
	raw := forged.Bytes()
	for i := range raw[:len(raw)-len(sig)] {
		if string(raw[i:i+len(sig)]) == string(sig) {
			raw[i] ^= 1
		}
	}
	if got, err := h.hand.Submit(t.Context(), raw); got != chain.Refused {
		t.Errorf("a forged signature: %s, %v", got, err)
	}
	must(h.kept.Release(t.Context(), "test "+forged.ID().String()))

	short := h.pay(h.draft(8_000_000, 2))
	h.blocks(4)
	h.wants(short.Bytes(), chain.Expired)

	// A rollback takes a transaction out of its block; it is handed in again by itself, and connections are lost meanwhile.
	undone := h.pay(h.draft(9_000_000, 300))
	h.lands(undone)
	landed := make(chan error, 1)
	go func() { landed <- h.hand.Land(t.Context(), undone.Bytes(), 8) }()
	_, err = at.Rollback(t.Context(), 5)
	must(err)
	_, err = at.Drop(t.Context())
	must(err)
	must(<-landed)

	last := h.pay(h.draft(4_000_000, 200))
	must(h.process.Kill())
	h.wants(last.Bytes(), chain.Unknown)
}
