package chaintest

import (
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/blinklabs-io/plutigo/syn"

	"github.com/tallycompute/tally/chain"
)

// paramsJSON has Cardano mainnet's parameters at protocol version 10, with the Plutus V3 cost model of 297 entries
// that it has had since the Plomin hard fork.
//
//go:embed params.json
var paramsJSON []byte

// Params are Cardano mainnet's protocol parameters.
func Params() chain.Params {
	var p chain.Params
	if err := json.Unmarshal(paramsJSON, &p); err != nil {
		panic(err)
	}
	return p
}

// Network is a test network.
func Network() chain.Network { return chain.Network{Magic: 42, ID: 0} }

// Clock has slots of a second since 2024-01-01, and two empty eras before, as a node of a private network reports it.
func Clock() chain.Clock {
	return chain.Clock{SystemStart: 1704067200000, Eras: []chain.Era{{SlotLength: 20000}, {SlotLength: 1000}, {SlotLength: 1000}}}
}

// Actor is somebody with a key.
type Actor struct {
	Key     ed25519.PrivateKey
	Hash    chain.KeyHash
	Address chain.Address
}

// NewActor makes an actor whose key follows from its name.
func NewActor(name string) Actor {
	seed := sha256.Sum256([]byte(name))
	k := ed25519.NewKeyFromSeed(seed[:])
	h := chain.HashKey(k.Public().(ed25519.PublicKey))
	return Actor{Key: k, Hash: h, Address: chain.Enterprise(Network(), h)}
}

// Sign adds the actor's witness.
func (a Actor) Sign(tx *chain.Tx) error {
	id := tx.ID()
	return tx.AddWitness(a.Key.Public().(ed25519.PublicKey), ed25519.Sign(a.Key, id[:]))
}

// Coin is an output of the actor that no transaction made: genesis funds. n tells such outputs apart.
func (a Actor) Coin(n uint32, v chain.Value) chain.UTxO {
	id := sha256.Sum256(fmt.Appendf(nil, "genesis %x", a.Hash))
	return chain.UTxO{Ref: chain.OutRef{Tx: id, Index: n}, Output: chain.Output{Address: a.Address, Value: v}}
}

// Script compiles untyped Plutus Core text to a Plutus V3 script as outputs and transactions hold it.
func Script(text string) ([]byte, error) {
	p, err := syn.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse script: %w", err)
	}
	d, err := syn.NameToDeBruijn(p)
	if err != nil {
		return nil, fmt.Errorf("script names: %w", err)
	}
	flat, err := syn.Encode[syn.DeBruijn](d)
	if err != nil {
		return nil, fmt.Errorf("encode script: %w", err)
	}
	n := len(flat)
	if n >= 1<<16 {
		return nil, fmt.Errorf("script of %d bytes: %w", n, chain.ErrMalformed)
	}
	switch {
	case n < 24:
		return append([]byte{0x40 | byte(n)}, flat...), nil
	case n < 256:
		return append([]byte{0x58, byte(n)}, flat...), nil
	}
	return append([]byte{0x59, byte(n >> 8), byte(n)}, flat...), nil
}

// Accepts is a script that accepts everything; n tells such scripts apart.
func Accepts(n int) []byte {
	return mustScript(fmt.Sprintf("(program 1.1.0 (lam ctx [(lam n (con unit ())) (con integer %d)]))", n))
}

// Refuses is a script that traces a label and fails.
func Refuses(label string) []byte {
	return mustScript(fmt.Sprintf("(program 1.1.0 (lam ctx (force [(force (builtin trace)) (con string %q) (delay (error))])))", label))
}

func mustScript(text string) []byte {
	s, err := Script(text)
	if err != nil {
		panic(err)
	}
	return s
}
