package plutus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Contracts are the scripts of one network: two policies, of the tokens of lots and of slices, the stub of each, which
// guards what holds them, and the stakes' script. Read only; safe for concurrent use.
type Contracts struct {
	Network      chain.Network
	Params       Params
	Policy       chain.ScriptHash // of the lots' tokens
	Stub         chain.ScriptHash // of the lots' outputs
	Address      chain.Address    // the stub's, without a stake part: where every lot is
	Stake        chain.ScriptHash // of the stakes' outputs
	StakeAddress chain.Address    // where every stake is
	PolicyScript []byte           // Plutus V3, one CBOR byte-string layer
	StubScript   []byte
	StakeScript  []byte
	Slices       Slices

	traced map[chain.ScriptHash][]byte // the traced build of each script, by the hash of the deployed one
}

// Slices are the scripts of slices.
type Slices struct {
	Policy       chain.ScriptHash
	Stub         chain.ScriptHash
	Address      chain.Address
	PolicyScript []byte
	StubScript   []byte
}

// New applies the parameters. ErrParams: they could not work.
func New(n chain.Network, p Params) (*Contracts, error) { return build(n, p, silentBlueprint) }

// build is New with the scripts of either blueprint.
func build(n chain.Network, p Params, blueprint []byte) (*Contracts, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	code, err := codes(blueprint)
	if err != nil {
		return nil, err
	}
	traced, err := codes(tracedBlueprint)
	if err != nil {
		return nil, err
	}
	prefix, suffix, err := around(code[stubTitle])
	if err != nil {
		return nil, err
	}
	c := &Contracts{Network: n, Params: p, traced: map[chain.ScriptHash][]byte{}}
	add := func(title string, args ...data.PlutusData) (script []byte, h chain.ScriptHash, err error) {
		if script, err = apply(code[title], args...); err != nil {
			return nil, h, err
		}
		h = chain.HashScript(script)
		c.traced[h], err = apply(traced[title], args...)
		return script, h, err
	}
	if c.StakeScript, c.Stake, err = add(stakeTitle, integer(p.UnbondMS)); err != nil {
		return nil, err
	}
	s := &c.Slices
	if s.PolicyScript, s.Policy, err = add(slicesTitle, p.slicesData(prefix, suffix)...); err != nil {
		return nil, err
	}
	if c.PolicyScript, c.Policy, err = add(policyTitle, p.data(n, c.Stake, s.Policy, prefix, suffix)...); err != nil {
		return nil, err
	}
	if c.StubScript, c.Stub, err = add(stubTitle, data.NewByteString(c.Policy[:])); err != nil {
		return nil, err
	}
	if s.StubScript, s.Stub, err = add(stubTitle, data.NewByteString(s.Policy[:])); err != nil {
		return nil, err
	}
	c.Address, s.Address = chain.ScriptAddress(n, c.Stub), chain.ScriptAddress(n, s.Stub)
	c.StakeAddress = chain.ScriptAddress(n, c.Stake)
	return c, nil
}

// data lists the parameters of the lots' policy in the order of validators/lots.ak.
func (p Params) data(n chain.Network, stake, slices chain.ScriptHash, stubPrefix, stubSuffix []byte) []data.PlutusData {
	return append(p.common(stubPrefix, stubSuffix),
		data.NewByteString(magic(n)),
		data.NewConstr(0, data.NewByteString(stake[:]), data.NewByteString(p.Sink[:])),
		data.NewByteString(slices[:]))
}

// slicesData lists those of the slices' policy in the order of validators/slices.ak.
func (p Params) slicesData(stubPrefix, stubSuffix []byte) []data.PlutusData {
	return append(p.common(stubPrefix, stubSuffix), integer(p.MarginMS))
}

// common are the first parameters of both policies.
func (p Params) common(stubPrefix, stubSuffix []byte) []data.PlutusData {
	return []data.PlutusData{
		data.NewConstr(0, data.NewByteString(p.NTX.Policy[:]), data.NewByteString([]byte(p.NTX.Name))),
		data.NewConstr(0, integer(p.MaxRangeMS), integer(p.MinReviewMS), integer(p.MaxReviewMS),
			integer(p.MinHorizonMS), integer(p.MaxHorizonMS), integer(p.MinVerdictMS), integer(p.MaxVerdictMS),
			integer(uint64(p.MinLotLovelace))),
		data.NewConstr(0, data.NewByteString(stubPrefix), data.NewByteString(stubSuffix)),
	}
}

// magic tells networks apart in what is signed for the contracts.
func magic(n chain.Network) []byte { return binary.BigEndian.AppendUint32(nil, n.Magic) }

// around is what is hashed before and after the policy's id in the stub's code: the language tag and the code around
// its one argument. So the policy can tell its stub's hash from its own id, without either being part of the other.
func around(stub []byte) (prefix, suffix []byte, err error) {
	mark := bytes.Repeat([]byte{0xa5}, len(chain.ScriptHash{}))
	code, err := apply(stub, data.NewByteString(mark))
	if err != nil {
		return nil, nil, err
	}
	before, after, ok := bytes.Cut(code, mark)
	if !ok || bytes.Contains(after, mark) {
		return nil, nil, fmt.Errorf("the stub's argument does not stand once in its code: %w", ErrParams)
	}
	return append([]byte{3}, before...), bytes.Clone(after), nil
}
