package main

import (
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// scriptAddress is the enterprise address of a script.
func scriptAddress(script []byte) []byte {
	h := lcommon.PlutusV3Script(script).Hash()
	return append([]byte{0x70}, h[:]...)
}

// wants submits a transaction the node must refuse with a reason.
func wants(t *testing.T, c *client, tx []byte, reason string) {
	t.Helper()
	if err := c.submit(tx); err == nil || !strings.Contains(err.Error(), reason) {
		t.Fatalf("want a refusal saying %q, got %v", reason, err)
	}
}

// datumHash locks an output under the hash of a datum and spends it without the datum, then with it.
func datumHash(t *testing.T, c *client, alice, bob key, collateral output) {
	script, datum := alwaysSucceeds(t), cbor.RawMessage{0x18, 0x2a} // the integer 42
	h := lcommon.Blake2b256Hash(datum)
	lock := pay(c, alice, wallet(t, c, alice), nil, 5_000_000)
	locked := out(scriptAddress(script), uint64(5_000_000))
	locked[2] = []any{0, h[:]}
	lock.outputs()[1] = locked
	tx := lock.bytes(t)
	c.accepted(t, tx)

	spend := &draft{c: c, valid: true, signers: []key{bob}, witness: map[uint]any{7: set(script)}, body: map[uint]any{
		0:  set(ref(output{tx: txID(t, tx), index: 1})),
		1:  []any{out(alice.address(), uint64(5_000_000-plainFee))},
		2:  uint64(plainFee),
		13: set(ref(collateral)),
	}}
	spend.witness[5] = map[[2]uint]any{{0, 0}: []any{cbor.RawMessage{0x00}, []any{5_000, 2_000_000}}}
	wants(t, c, spend.bytes(t), "MissingRequiredDatums")
	spend.witness[4] = set(datum)
	c.accepted(t, spend.bytes(t))
}

// referenced publishes a script and mints with it attached as well, then by reference alone.
func referenced(t *testing.T, c *client, alice, bob key, collateral output) {
	script := alwaysSucceeds(t)
	publish := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000)
	published := out(alice.address(), uint64(5_000_000))
	published[3] = cbor.Tag{Number: 24, Content: encode(t, []any{3, script})}
	publish.outputs()[1] = published
	tx := publish.bytes(t)
	c.accepted(t, tx)

	in := wallet(t, c, alice)
	mint := func() *draft {
		d := pay(c, alice, in, bob.address(), 5_000_000).mint(t, "by reference", 1, collateral)
		d.body[18] = set(ref(output{tx: txID(t, tx), index: 1}))
		d.signers = append(d.signers, bob)
		return d
	}
	wants(t, c, mint().bytes(t), "is also a reference script")
	d := mint()
	delete(d.witness, 7)
	c.accepted(t, d.bytes(t))
}

// TestBuiltins runs every kind of builtin that came with protocol version 10, and data built from them, in a mint.
func TestBuiltins(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--fund", fund(bob))
	c := dial(t, node.announcement)
	if n := len(c.params.CostModels[2]); n != 297 {
		t.Errorf("the Plutus V3 cost model has %d values, not 297", n)
	}
	script := compile(t, `(program 1.1.0 (lam ctx
		[ (lam a [ (lam b [ (lam c [ (lam d [ (lam e [ (lam f [ (lam g (con unit ()))
			[(builtin ripemd_160) (con bytestring #00)] ])
			[(builtin shiftByteString) (con bytestring #00ff) (con integer 3)] ])
			[(builtin countSetBits) (con bytestring #00ff)] ])
			[(builtin findFirstSetBit) (con bytestring #00ff)] ])
			[(builtin readBit) (con bytestring #00ff) (con integer 3)] ])
			[(builtin andByteString) (con bool True) (con bytestring #00ff) (con bytestring #0f)] ])
			[(builtin replicateByte) (con integer 4) (con integer 9)] ]))`)
	collateral := wallet(t, c, bob)
	d := mintWith(t, pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000), script, "x", 1, collateral)
	d.budget(100_000, 100_000_000)
	d.signers = append(d.signers, bob)
	c.accepted(t, d.bytes(t))
}

// TestWithdrawZero registers a script's stake credential and runs the script by withdrawing nothing: the way to check
// something once for many inputs.
func TestWithdrawZero(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--fund", fund(bob))
	c := dial(t, node.announcement)
	const deposit = 2_000_000
	script := alwaysSucceeds(t)
	hash := lcommon.PlutusV3Script(script).Hash()
	collateral := wallet(t, c, bob)

	withdraw := func(lovelace uint64) []byte {
		d := pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000)
		d.body[5] = map[[29]byte]uint64{[29]byte(append([]byte{0xf0}, hash[:]...)): lovelace}
		d.body[13] = set(ref(collateral))
		d.witness[7] = set(script)
		d.witness[5] = map[[2]uint]any{{3, 0}: []any{cbor.RawMessage{0x00}, []any{5_000, 2_000_000}}}
		d.signers = append(d.signers, bob)
		return d.bytes(t)
	}
	wants(t, c, withdraw(0), "WithdrawalsNotInRewardsCERTS")

	in := wallet(t, c, alice)
	register := pay(c, alice, in, bob.address(), 5_000_000)
	register.body[4] = set([]any{0, []any{1, hash[:]}})
	register.outputs()[0] = out(alice.address(), in.lovelace-5_000_000-plainFee-deposit)
	tx := register.bytes(t)
	register.witness[7] = set(script)
	wants(t, c, register.bytes(t), "ExtraneousScriptWitnessesUTXOW")
	c.accepted(t, tx)

	wants(t, c, withdraw(1), "WithdrawalsNotInRewardsCERTS")
	c.accepted(t, withdraw(0))
}

// TestChained submits payments each of which spends the one before, without waiting for blocks, faster than blocks come.
// Each gets into one block, whatever the machine is busy with.
func TestChained(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--slot-length", "50ms")
	c := dial(t, node.announcement)
	in := wallet(t, c, alice)
	var last []byte
	for range 300 {
		if last != nil {
			if err := c.submit(last); err != nil {
				t.Fatal(err)
			}
		}
		last = pay(c, alice, in, bob.address(), 1_000_000).bytes(t)
		in = output{txID(t, last), 0, in.lovelace - 1_000_000 - plainFee, true}
	}
	c.accepted(t, last)
	n := c.tip(t).BlockNumber() + 3
	c.await(t, "three blocks more", func(b ledger.Block) bool { return b.BlockNumber() >= n })
	seen := map[lcommon.Blake2b256]uint64{}
	for _, b := range c.chain {
		for _, tx := range b.Transactions() {
			if at, twice := seen[tx.Hash()]; twice {
				t.Errorf("%s is in block %d and in block %d", tx.Hash(), at, b.BlockNumber())
			}
			seen[tx.Hash()] = b.BlockNumber()
		}
	}
	if len(seen) != 300 {
		t.Errorf("%d transactions on the chain, not 300", len(seen))
	}
}
