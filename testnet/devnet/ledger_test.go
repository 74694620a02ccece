package main

import (
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// TestStockRules submits what dingo refuses by itself: the reason on the wire is the ledger's all the same.
func TestStockRules(t *testing.T) {
	t.Parallel()
	const ada = 1_000_000
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--fund", fund(bob))
	c := dial(t, node.announcement)
	minted := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada).mint(t, "token", 7, wallet(t, c, bob))
	minted.signers = append(minted.signers, bob)
	tx := minted.bytes(t)
	c.accepted(t, tx)
	tokens := output{txID(t, tx), 1, 5 * ada, false}
	collateral := wallet(t, c, bob)

	spread, parts := pay(c, alice, wallet(t, c, alice), bob.address(), 20*ada), []any{}
	for range 4 {
		parts = append(parts, out(bob.address(), uint64(5*ada)))
	}
	spread.body[1] = append(spread.outputs()[:1], parts...)
	tx = spread.bytes(t)
	c.accepted(t, tx)
	var four []any
	for i := range uint32(4) {
		four = append(four, ref(output{tx: txID(t, tx), index: i + 1}))
	}

	always := lcommon.PlutusV3Script(alwaysSucceeds(t)).Hash()
	tx = pay(c, alice, wallet(t, c, alice), append([]byte{0x70}, always[:]...), 20*ada).bytes(t)
	c.accepted(t, tx)
	locked := output{txID(t, tx), 1, 20 * ada, true}

	in := wallet(t, c, alice)
	plain := func() *draft { return pay(c, alice, in, bob.address(), 5*ada) }
	mint := func() *draft {
		d := plain().mint(t, "t", 1, collateral)
		d.signers = append(d.signers, bob)
		return d
	}
	edit := func(d *draft, f func(*draft)) *draft { f(d); return d }
	described := func(metadata any) *draft {
		d := plain()
		d.metadata = metadata
		h := lcommon.Blake2b256Hash(encode(t, metadata))
		d.body[7] = h[:]
		return d
	}
	certified := func(deposit uint64, certificates ...any) *draft {
		d := plain()
		d.body[4] = set(certificates...)
		d.outputs()[0] = out(alice.address(), in.lovelace-5*ada-plainFee-deposit)
		return d
	}
	credential := []any{0, alice.address()[1:]}
	elsewhere := append([]byte{0x61}, bob.address()[1:]...)
	for _, x := range []struct {
		name, reason string
		d            *draft
	}{
		{"a required signer who did not sign", "MissingVKeyWitnessesUTXOW", edit(plain(), func(d *draft) { d.body[14] = set(bob.address()[1:]) })},
		{"an output on mainnet", "WrongNetwork", edit(plain(), func(d *draft) { d.outputs()[1] = out(elsewhere, uint64(5*ada)) })},
		{"mainnet's network id", "WrongNetworkInTxBody", edit(plain(), func(d *draft) { d.body[15] = 1 })},
		{"an unknown reference input", "BadInputsUTxO", edit(plain(), func(d *draft) { d.body[18] = set(ref(output{tx: in.tx, index: 99})) })},
		{"an input that is a reference too", "BabbageNonDisjointRefInputs", edit(plain(), func(d *draft) { d.body[18] = set(ref(in)) })},
		{"more than 16,384 bytes", "MaxTxSizeUTxO", edit(plain(), func(d *draft) {
			d.body[2] = uint64(2 * ada)
			d.outputs()[0] = out(alice.address(), in.lovelace-7*ada)
			padded := out(bob.address(), uint64(5*ada))
			padded[2] = []any{1, cbor.Tag{Number: 24, Content: encode(t, make([]byte, 16_384))}}
			d.outputs()[1] = padded
		})},
		{"more memory than a transaction may use", "ExUnitsTooBigUTxO", edit(mint().budget(20_000_000, 2_000_000), func(d *draft) {
			d.body[2] = uint64(2 * ada)
			d.outputs()[0] = out(alice.address(), in.lovelace-7*ada)
		})},
		{"no collateral", "NoCollateralInputs", edit(mint(), func(d *draft) { delete(d.body, 13) })},
		{"four inputs of collateral", "TooManyCollateralInputs", edit(mint(), func(d *draft) { d.body[13] = set(four...) })},
		{"collateral in tokens", "CollateralContainsNonADA", edit(mint(), func(d *draft) { d.body[13] = set(ref(tokens)) })},
		{"a wrong sum of collateral", "IncorrectTotalCollateralField", edit(mint(), func(d *draft) { d.body[17] = uint64(1) })},
		{"a redeemer for nothing", "ExtraRedeemers", edit(mint(), func(d *draft) {
			d.witness[5] = map[[2]uint]any{{1, 0}: []any{cbor.RawMessage{0x00}, []any{5_000, 2_000_000}}, {1, 1}: []any{cbor.RawMessage{0x00}, []any{5_000, 2_000_000}}}
		})},
		{"a mint without its script", "MissingScriptWitnessesUTXOW", edit(mint(), func(d *draft) { delete(d.witness, 7) })},
		{"a datum for nothing", "NotAllowedSupplementalDatums", edit(mint(), func(d *draft) { d.witness[4] = set(cbor.RawMessage{0x18, 0x2a}) })},
		{"an output of zero tokens", "a quantity of 0", edit(plain(), func(d *draft) {
			policy := cbor.NewByteString(make([]byte, 28))
			d.outputs()[1] = out(bob.address(), []any{uint64(5 * ada), map[cbor.ByteString]map[cbor.ByteString]int64{policy: {cbor.NewByteString(nil): 0}}})
		})},
		{"metadata without its hash", "MissingTxBodyMetadataHash", edit(plain(), func(d *draft) { d.metadata = map[uint]any{674: "hello"} })},
		{"another hash than the metadata's", "ConflictingMetadataHash", edit(described(map[uint]any{674: "x"}), func(d *draft) { d.body[7] = make([]byte, 32) })},
		{"a text of 65 bytes in metadata", "InvalidMetadata", described(map[uint]any{674: strings.Repeat("x", 65)})},
		{"65 bytes in metadata", "InvalidMetadata", described(map[uint]any{674: make([]byte, 65)})},
		{"collateral of a script", "ScriptsNotPaidUTxO", edit(mint(), func(d *draft) { d.body[13] = set(ref(locked)) })},
		{"unknown collateral", "BadInputsUTxO", edit(mint(), func(d *draft) { d.body[13] = set(ref(output{tx: in.tx, index: 77})) })},
		{"no inputs", "InputSetEmptyUTxO", edit(plain(), func(d *draft) { d.body[0] = set() })},
		{"a hundred tokens in one output", "OutputTooBigUTxO", edit(plain(), func(d *draft) { d.outputs()[1] = out(bob.address(), []any{uint64(50 * ada), hundredTokens()}) })},
		{"a native script that is not met", "ScriptWitnessNotValidatingUTXOW", edit(plain(), func(d *draft) {
			native := []any{0, bob.address()[1:]}
			policy := lcommon.Blake2b224Hash(append([]byte{0}, encode(t, native)...))
			d.body[9] = map[cbor.ByteString]map[cbor.ByteString]int64{cbor.NewByteString(policy[:]): {cbor.NewByteString(nil): 1}}
			d.outputs()[1] = out(bob.address(), []any{uint64(5 * ada), d.body[9]})
			d.witness[1] = set(native)
		})},
		{"a reference script that is none", "MalformedReferenceScripts", edit(plain(), func(d *draft) {
			o := out(bob.address(), uint64(5*ada))
			o[3] = cbor.Tag{Number: 24, Content: encode(t, []any{3, []byte{1, 2, 3}})}
			d.outputs()[1] = o
		})},
		{"a script that is none", "MalformedScriptWitnesses", edit(plain(), func(d *draft) {
			mintWith(t, d, []byte{0x43, 1, 2, 3}, "t", 1, collateral)
			d.signers = append(d.signers, bob)
		})},
		{"a withdrawal on mainnet", "WrongNetworkWithdrawal", edit(plain(), func(d *draft) {
			a := rewards(alice)
			a[0] = 0xe1
			d.body[5] = map[[29]byte]uint64{a: 0}
		})},
		{"another treasury", "ConwayTreasuryValueMismatch", edit(plain(), func(d *draft) { d.body[21] = uint64(5) })},
		{"a donation of nothing", "a donation of 00", edit(plain(), func(d *draft) { d.body[22] = uint64(0) })},
		{"a map of no votes", "an empty map of votes", edit(plain(), func(d *draft) { d.body[19] = map[uint]any{} })},
		{"delegation to no pool", "DelegateeStakePoolNotRegisteredDELEG", certified(2*ada, []any{7, credential, 2 * ada}, []any{2, credential, make([]byte, 28)})},
		{"registration for no pool", "DelegateeStakePoolNotRegisteredDELEG", certified(2*ada, []any{11, credential, make([]byte, 28), 2 * ada})},
		{"delegation to no representative", "DelegateeDRepNotRegisteredDELEG", certified(2*ada, []any{7, credential, 2 * ada}, []any{9, credential, []any{0, make([]byte, 28)}})},
		{"a hash without metadata", "MissingTxMetadata", edit(plain(), func(d *draft) { d.body[7] = make([]byte, 32) })},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := c.submit(x.d.bytes(t))
			if err == nil {
				t.Fatal("accepted")
			}
			t.Log(err)
			if !strings.Contains(err.Error(), x.reason) || x.reason != "InputSetEmptyUTxO" && strings.Contains(err.Error(), "InputSetEmpty") {
				t.Errorf("the reason does not say %q: %v", x.reason, err)
			}
		})
	}
	c.accepted(t, plain().bytes(t))
}

// hundredTokens have policies of their own: more bytes than a value may have.
func hundredTokens() map[cbor.ByteString]map[cbor.ByteString]int64 {
	tokens := map[cbor.ByteString]map[cbor.ByteString]int64{}
	for i := range 100 {
		policy := make([]byte, 28)
		policy[0] = byte(i)
		tokens[cbor.NewByteString(policy)] = map[cbor.ByteString]int64{cbor.NewByteString([]byte(strings.Repeat("x", 32))): 1}
	}
	return tokens
}

// TestStakeRules registers a key and does wrong and right things with it. Version 11 renamed some of the reasons.
func TestStakeRules(t *testing.T) {
	t.Parallel()
	t.Run("version 10", func(t *testing.T) {
		stakeRules(t, "10", "IncorrectDepositDELEG", "IncorrectDepositDELEG", "WithdrawalsNotInRewardsCERTS", "WithdrawalsNotInRewardsCERTS")
	})
	t.Run("version 11", func(t *testing.T) {
		stakeRules(t, "11", "DepositIncorrectDELEG", "RefundIncorrectDELEG", "ConwayWithdrawalsMissingAccounts", "ConwayIncompleteWithdrawals")
	})
}

func stakeRules(t *testing.T, version, wrongDeposit, wrongRefund, noAccount, notTheBalance string) {
	const ada, deposit = 1_000_000, 2_000_000
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--protocol-major", version)
	c := dial(t, node.announcement)
	credential := func(k key) []any { return []any{0, k.address()[1:]} }
	// with is a payment of alice's with certificates; gain is what they give back, negative for what they cost.
	with := func(gain int64, certificates ...any) *draft {
		in := wallet(t, c, alice)
		d := pay(c, alice, in, bob.address(), 5*ada)
		if len(certificates) > 0 {
			d.body[4] = set(certificates...)
		}
		d.outputs()[0] = out(alice.address(), uint64(int64(in.lovelace)-5*ada-plainFee+gain))
		return d
	}
	signed := func(d *draft, by ...key) []byte { d.signers = append(d.signers, by...); return d.bytes(t) }
	withdraw := func(k key, lovelace uint64) *draft {
		d := with(int64(lovelace))
		d.body[5] = map[[29]byte]uint64{rewards(k): lovelace}
		return d
	}
	register, abstain := []any{7, credential(bob), deposit}, []any{9, credential(bob), []any{2}}
	unregister := func(refund int) []any { return []any{8, credential(bob), refund} }

	wants(t, c, signed(with(0, abstain), bob), "StakeKeyNotRegisteredDELEG")
	wants(t, c, signed(with(-1, []any{7, credential(bob), 1}), bob), wrongDeposit)
	wants(t, c, signed(with(-deposit, register)), "MissingVKeyWitnessesUTXOW")
	wants(t, c, signed(with(-deposit, register, register), bob), "there twice")
	wants(t, c, signed(with(-deposit, register, []any{0, credential(bob)}), bob), "StakeKeyRegisteredDELEG")
	c.accepted(t, signed(with(-deposit, register), bob))
	wants(t, c, signed(with(-deposit, register), bob), "StakeKeyRegisteredDELEG")
	wants(t, c, signed(withdraw(bob, 0), bob), "ConwayWdrlNotDelegatedToDRep")
	wants(t, c, signed(with(0, abstain)), "MissingVKeyWitnessesUTXOW")
	c.accepted(t, signed(with(0, abstain), bob))
	wants(t, c, signed(withdraw(bob, 1), bob), notTheBalance)
	wants(t, c, signed(withdraw(bob, 0)), "MissingVKeyWitnessesUTXOW")
	c.accepted(t, signed(withdraw(bob, 0), bob))
	wants(t, c, signed(with(100*ada, unregister(100*ada)), bob), wrongRefund)
	wants(t, c, signed(with(1, unregister(1)), bob), wrongRefund)
	wants(t, c, signed(with(deposit, unregister(deposit))), "MissingVKeyWitnessesUTXOW")
	c.accepted(t, signed(with(deposit, unregister(deposit)), bob))
	wants(t, c, signed(withdraw(bob, 0), bob), noAccount)
}
