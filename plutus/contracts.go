package plutus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Contracts are the scripts of one network. Read only; safe for concurrent use.
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

	traced map[chain.ScriptHash][]byte // the traced build of each script, by the hash of the deployed one
}

// New applies the parameters. ErrParams: they could not work.
func New(n chain.Network, p Params) (*Contracts, error) { return build(n, p, silentBlueprint) }

// build is New with the scripts of either blueprint.
func build(n chain.Network, p Params, blueprint []byte) (*Contracts, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	code, err := readCodes(blueprint)
	if err != nil {
		return nil, err
	}
	traced, err := readCodes(tracedBlueprint)
	if err != nil {
		return nil, err
	}
	prefix, suffix, err := around(code.stub)
	if err != nil {
		return nil, err
	}
	c := &Contracts{Network: n, Params: p, traced: map[chain.ScriptHash][]byte{}}
	add := func(code, traced []byte, args ...data.PlutusData) (script []byte, h chain.ScriptHash, err error) {
		if script, err = apply(code, args...); err != nil {
			return nil, h, err
		}
		h = chain.HashScript(script)
		c.traced[h], err = apply(traced, args...)
		return script, h, err
	}
	if c.StakeScript, c.Stake, err = add(code.stake, traced.stake, integer(p.UnbondMS)); err != nil {
		return nil, err
	}
	if c.PolicyScript, c.Policy, err = add(code.policy, traced.policy, p.data(n, prefix, suffix, c.Stake)...); err != nil {
		return nil, err
	}
	if c.StubScript, c.Stub, err = add(code.stub, traced.stub, data.NewByteString(c.Policy[:])); err != nil {
		return nil, err
	}
	c.Address, c.StakeAddress = chain.ScriptAddress(n, c.Stub), chain.ScriptAddress(n, c.Stake)
	return c, nil
}

// data lists the policy's parameters in the order of validators/lots.ak.
func (p Params) data(n chain.Network, stubPrefix, stubSuffix []byte, stake chain.ScriptHash) []data.PlutusData {
	return []data.PlutusData{
		data.NewConstr(0, data.NewByteString(p.NTX.Policy[:]), data.NewByteString([]byte(p.NTX.Name))),
		data.NewConstr(0, integer(p.MaxRangeMS), integer(p.MinReviewMS), integer(p.MaxReviewMS),
			integer(p.MinHorizonMS), integer(p.MaxHorizonMS), integer(p.MinVerdictMS), integer(p.MaxVerdictMS),
			integer(uint64(p.MinLotLovelace))),
		data.NewConstr(0, data.NewByteString(stubPrefix), data.NewByteString(stubSuffix)),
		data.NewByteString(magic(n)),
		data.NewConstr(0, data.NewByteString(stake[:]), data.NewByteString(p.Sink[:])),
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
