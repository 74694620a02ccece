package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"maps"
	"slices"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/plutigo/syn"
)

// key is a wallet of one key; its address is the enterprise address of a test network.
type key struct{ ed25519.PrivateKey }

func newKey(seed byte) key { return key{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32))} }

func (k key) public() []byte { return k.Public().(ed25519.PublicKey) }
func (k key) address() []byte {
	h := lcommon.Blake2b224Hash(k.public())
	return append([]byte{0x60}, h[:]...)
}
func (k key) hex() string { return hex.EncodeToString(k.address()) }

// draft is a Conway transaction in the making; every field may be made wrong.
type draft struct {
	body    map[uint]any
	witness map[uint]any
	signers []key
	valid   bool
	tail    []byte // bytes after the transaction

	metadata any

	forge    bool // sign something else
	keepHash bool // leave the script data hash as it is
	c        *client
}

const plainFee = 300_000 // lovelace: more than any of these transactions needs

// pay spends in, pays lovelace to addr and keeps the rest.
func pay(c *client, from key, in output, addr []byte, lovelace uint64) *draft {
	return &draft{
		c:       c,
		signers: []key{from},
		valid:   true,
		witness: map[uint]any{},
		body: map[uint]any{
			0: set(ref(in)),
			1: []any{out(from.address(), in.lovelace-lovelace-plainFee), out(addr, lovelace)},
			2: uint64(plainFee),
		},
	}
}

func set(items ...any) any { return cbor.Tag{Number: 258, Content: items} }
func ref(o output) any     { return []any{o.tx[:], o.index} }
func out(addr []byte, value any) map[uint]any {
	return map[uint]any{0: addr, 1: value}
}

// outputs is the list of outputs, to make wrong.
func (d *draft) outputs() []any { return d.body[1].([]any) }

// mint adds quantity of an asset of the always-succeeding policy to the transaction and to its second output.
func (d *draft) mint(t *testing.T, name string, quantity int64, collateral output) *draft {
	t.Helper()
	return mintWith(t, d, alwaysSucceeds(t), name, quantity, collateral)
}

// mintWith does so with another policy.
func mintWith(t *testing.T, d *draft, script []byte, name string, quantity int64, collateral output) *draft {
	t.Helper()
	policy := lcommon.PlutusV3Script(script).Hash()
	asset := map[cbor.ByteString]map[cbor.ByteString]int64{cbor.NewByteString(policy[:]): {cbor.NewByteString([]byte(name)): quantity}}
	o := maps.Clone(d.outputs()[1].(map[uint]any))
	o[1] = []any{o[1], asset}
	d.body[1] = []any{d.outputs()[0], o}
	d.body[9] = asset
	d.body[13] = set(ref(collateral))
	d.witness[7] = set(script)
	return d.budget(5_000, 2_000_000)
}

// budget sets the one redeemer's execution units.
func (d *draft) budget(memory, steps uint64) *draft {
	d.witness[5] = map[[2]uint]any{{1, 0}: []any{cbor.RawMessage{0x00}, []any{memory, steps}}}
	return d
}

// bytes signs and encodes.
func (d *draft) bytes(t *testing.T) []byte {
	t.Helper()
	if r, has := d.witness[5]; has && !d.keepHash {
		views, err := lcommon.EncodeLangViews(map[uint]struct{}{2: {}}, d.c.params.CostModels)
		ok(t, err)
		var datums []byte
		if ds, has := d.witness[4]; has {
			datums = encode(t, ds)
		}
		h := lcommon.Blake2b256Hash(slices.Concat(encode(t, r), datums, views))
		d.body[11] = h[:]
	}
	body := encode(t, d.body)
	h := lcommon.Blake2b256Hash(body)
	if d.forge {
		h[0]++
	}
	if len(d.signers) > 0 {
		var sigs []any
		for _, k := range d.signers {
			sigs = append(sigs, []any{k.public(), ed25519.Sign(k.PrivateKey, h[:])})
		}
		d.witness[0] = set(sigs...)
	}
	return append(encode(t, []any{cbor.RawMessage(body), d.witness, d.valid, d.metadata}), d.tail...)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cbor.Encode(v)
	ok(t, err)
	return b
}

func txID(t *testing.T, tx []byte) lcommon.Blake2b256 {
	t.Helper()
	var parts []cbor.RawMessage
	_, err := cbor.Decode(tx, &parts)
	ok(t, err)
	return lcommon.Blake2b256Hash(parts[0])
}

// alwaysSucceeds is a Plutus V3 script as witness sets carry it.
func alwaysSucceeds(t *testing.T) []byte {
	t.Helper()
	return compile(t, "(program 1.1.0 (lam ctx (con unit ())))")
}

func compile(t *testing.T, source string) []byte {
	t.Helper()
	p, err := syn.Parse(source)
	ok(t, err)
	d, err := syn.NameToDeBruijn(p)
	ok(t, err)
	flat, err := syn.Encode[syn.DeBruijn](d)
	ok(t, err)
	return encode(t, flat)
}
