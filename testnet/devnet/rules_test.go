package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const genesisLovelace = 1_000_000_000_000

func fund(k key) string { return k.hex() + "=" + strconv.Itoa(genesisLovelace) }

// wallet finds an output of lovelace alone, the largest.
func wallet(t *testing.T, c *client, k key) output {
	t.Helper()
	us := slices.DeleteFunc(c.outputs(t, address(t, k.hex())), func(o output) bool { return !o.pure })
	if len(us) == 0 {
		t.Fatal("the wallet is empty")
	}
	return slices.MaxFunc(us, func(a, b output) int { return int(a.lovelace) - int(b.lovelace) })
}

// slot is the present one.
func (a announcement) slot() uint64 {
	return uint64(time.Since(a.SystemStart).Milliseconds()) / a.SlotLengthMS
}

// TestRules submits what the ledger takes and what it refuses, and reads the reason on the wire.
func TestRules(t *testing.T) {
	t.Parallel()
	alice, bob, poor := newKey(1), newKey(2), newKey(3)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--fund", fund(bob), "--fund", poor.hex()+"=1000000")
	c := dial(t, node.announcement)
	const ada = 1_000_000

	t.Run("payment", func(t *testing.T) {
		d := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada)
		d.body[8], d.body[3] = node.slot(), node.slot()+300
		c.accepted(t, d.bytes(t))
	})
	collateral := wallet(t, c, bob)
	t.Run("a mint up to the horizon", func(t *testing.T) {
		q := c.LocalStateQuery().Client
		ok(t, q.AcquireVolatileTip())
		history, err := q.GetEraHistory()
		ok(t, err)
		ok(t, q.Release())
		end := uint64(history[len(history)-1].End.SlotNo)
		if now := node.slot(); end < now+3*600-10 {
			t.Errorf("the horizon %d is less than 3k/f past slot %d", end, now)
		}
		d := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada).mint(t, "token", 7, collateral)
		d.body[3] = end
		d.signers = append(d.signers, bob)
		c.accepted(t, d.bytes(t))
	})
	t.Run("mint", func(t *testing.T) {
		d := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada).mint(t, "token", 7, collateral)
		d.signers = append(d.signers, bob)
		c.accepted(t, d.bytes(t))
	})

	in := wallet(t, c, alice)
	plain := func() *draft { return pay(c, alice, in, bob.address(), 5*ada) }
	mint := func(name string, quantity int64) *draft {
		d := plain().mint(t, name, quantity, collateral)
		d.signers = append(d.signers, bob)
		return d
	}
	edit := func(d *draft, f func(*draft)) *draft { f(d); return d }
	small := c.outputs(t, address(t, poor.hex()))[0]
	for _, x := range []struct {
		name, reason string
		d            *draft
	}{
		{"expired", "OutsideValidityIntervalUTxO", edit(plain(), func(d *draft) { d.body[3] = node.slot() })},
		{"not yet valid", "OutsideValidityIntervalUTxO", edit(plain(), func(d *draft) { d.body[8] = node.slot() + 100 })},
		{"upper bound past the horizon", "OutsideForecast", edit(mint("t", 1), func(d *draft) { d.body[3] = node.slot() + 1_000_000 })},
		{"value not conserved", "ValueNotConservedUTxO", edit(plain(), func(d *draft) { d.outputs()[0] = out(alice.address(), in.lovelace-5*ada-plainFee+1) })},
		{"isValid false", "isValid false", edit(mint("t", 1), func(d *draft) { d.valid = false })},
		{"missing signature", "MissingVKeyWitnessesUTXOW", edit(plain(), func(d *draft) { d.signers = nil })},
		{"another key's signature", "MissingVKeyWitnessesUTXOW", edit(plain(), func(d *draft) { d.signers = []key{bob} })},
		{"fee too low", "FeeTooSmallUTxO", edit(plain(), func(d *draft) {
			d.body[2] = uint64(150_000)
			d.outputs()[0] = out(alice.address(), in.lovelace-5*ada-150_000)
		})},
		{"collateral too small", "InsufficientCollateral", edit(mint("t", 1), func(d *draft) {
			d.body[13] = set(ref(collateral))
			d.body[16] = out(bob.address(), collateral.lovelace-plainFee-1) // 100 % of the fee is kept
		})},
		{"collateral return below the minimum", "BabbageOutputTooSmallUTxO", edit(mint("t", 1), func(d *draft) {
			d.body[16] = out(bob.address(), uint64(1000))
		})},
		{"too few memory units", "overspent its budget", mint("t", 1).budget(1, 2_000_000)},
		{"too few steps", "overspent its budget", mint("t", 1).budget(5_000, 1)},
		{"zero quantity", "a quantity of 0", mint("t", 0)},
		{"asset name of 33 bytes", "an asset name of 33 bytes", mint(strings.Repeat("x", 33), 1)},
		{"output below the minimum", "BabbageOutputTooSmallUTxO", pay(c, alice, in, bob.address(), 1000)},
		{"unknown input", "BadInputsUTxO", pay(c, alice, output{tx: in.tx, index: 99, lovelace: in.lovelace}, bob.address(), 5*ada)},
		{"a script attached that nobody needs", "ExtraneousScriptWitnessesUTXOW", edit(plain(), func(d *draft) { d.witness[7] = set(alwaysSucceeds(t)) })},
		{"a byte after the transaction", "1 bytes after the transaction", edit(plain(), func(d *draft) { d.tail = []byte{0} })},
		{"an unknown body field", "the Conway decoder refuses it", edit(plain(), func(d *draft) { d.body[99] = 1 })},
		{"a deposit that is not the key deposit", "IncorrectDepositDELEG", edit(plain(), func(d *draft) {
			d.body[4] = set([]any{7, []any{0, alice.address()[1:]}, 1})
		})},
		{"registration without the key's witness", "MissingVKeyWitnessesUTXOW", edit(plain(), func(d *draft) {
			d.body[4] = set([]any{7, []any{0, poor.address()[1:]}, 2 * ada})
			d.outputs()[0] = out(alice.address(), in.lovelace-7*ada-plainFee)
		})},
		{"unregistration of what is not registered", "StakeKeyNotRegisteredDELEG", edit(plain(), func(d *draft) {
			d.body[4] = set([]any{8, []any{0, alice.address()[1:]}, 2 * ada})
			d.outputs()[0] = out(alice.address(), in.lovelace-3*ada-plainFee)
		})},
		{"withdrawal from no account", "WithdrawalsNotInRewardsCERTS", edit(plain(), func(d *draft) {
			d.body[5] = map[[29]byte]uint64{rewards(alice): 0}
		})},
		{"a fee above the inputs", "ValueNotConservedUTxO", edit(pay(c, poor, small, bob.address(), 1), func(d *draft) { d.body[2] = uint64(2 * ada) })},
		{"a forged signature", "InvalidWitnessesUTXOW", edit(plain(), func(d *draft) { d.forge = true })},
		{"a script that fails", "ValidationTagMismatch", edit(plain(), func(d *draft) {
			mintWith(t, d, compile(t, "(program 1.1.0 (lam ctx (error)))"), "t", 1, collateral)
			d.signers = append(d.signers, bob)
		})},
		{"a script without its redeemer", "MissingRedeemers", edit(mint("t", 1), func(d *draft) { delete(d.witness, 5); delete(d.body, 11) })},
		{"a wrong script data hash", "PPViewHashesDontMatch", edit(mint("t", 1), func(d *draft) { d.body[2], d.keepHash = uint64(plainFee), true; d.body[11] = make([]byte, 32) })},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := c.submit(x.d.bytes(t))
			if err == nil {
				t.Fatal("accepted")
			}
			t.Log(err)
			if !strings.Contains(err.Error(), x.reason) || strings.Contains(err.Error(), "InputSetEmpty") {
				t.Errorf("the reason does not say %q: %v", x.reason, err)
			}
		})
	}

	t.Run("what was refused spent nothing", func(t *testing.T) {
		if now := wallet(t, c, alice); now != in {
			t.Fatalf("the wallet holds %v, not %v", now, in)
		}
		c.accepted(t, plain().bytes(t))
	})
	t.Run("an output under a datum's hash wants the datum", func(t *testing.T) { datumHash(t, c, alice, bob, wallet(t, c, bob)) })
	t.Run("a script both attached and referenced", func(t *testing.T) { referenced(t, c, alice, bob, wallet(t, c, bob)) })
	t.Run("stake registration", func(t *testing.T) {
		in := wallet(t, c, alice)
		d := pay(c, alice, in, bob.address(), 5*ada)
		d.body[4] = set([]any{7, []any{0, alice.address()[1:]}, 2 * ada})
		d.outputs()[0] = out(alice.address(), in.lovelace-7*ada-plainFee)
		again := maps.Clone(d.body)
		c.accepted(t, d.bytes(t))
		in = wallet(t, c, alice)
		d.body = again
		d.body[0] = set(ref(in))
		d.outputs()[0] = out(alice.address(), in.lovelace-7*ada-plainFee)
		if err := c.submit(d.bytes(t)); err == nil || !strings.Contains(err.Error(), "StakeKeyRegisteredDELEG") {
			t.Fatalf("registered twice: %v", err)
		}
	})
}

func rewards(k key) (a [29]byte) {
	copy(a[:], append([]byte{0xe0}, k.address()[1:]...))
	return a
}
