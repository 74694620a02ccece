package plutus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Contracts are the two scripts of one network. Read only; safe for concurrent use.
type Contracts struct {
	Network      chain.Network
	Params       Params
	Policy       chain.ScriptHash // of the lots' tokens
	Stub         chain.ScriptHash // of the lots' outputs
	Address      chain.Address    // the stub's, without a stake part: where every lot is
	PolicyScript []byte           // Plutus V3, one CBOR byte-string layer
	StubScript   []byte

	tracedPolicy []byte
	tracedStub   []byte
}

// New applies the parameters. ErrParams: they could not work.
func New(n chain.Network, p Params) (*Contracts, error) { return build(n, p, silentBlueprint) }

// build is New with the scripts of either blueprint.
func build(n chain.Network, p Params, blueprint []byte) (*Contracts, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	policy, stub, err := codes(blueprint)
	if err != nil {
		return nil, err
	}
	tracedPolicy, tracedStub, err := codes(tracedBlueprint)
	if err != nil {
		return nil, err
	}
	prefix, suffix, err := around(stub)
	if err != nil {
		return nil, err
	}
	args := p.data(n, prefix, suffix)
	c := &Contracts{Network: n, Params: p}
	if c.PolicyScript, err = apply(policy, args...); err != nil {
		return nil, err
	}
	c.Policy = chain.HashScript(c.PolicyScript)
	id := data.NewByteString(c.Policy[:])
	if c.StubScript, err = apply(stub, id); err != nil {
		return nil, err
	}
	c.Stub = chain.HashScript(c.StubScript)
	c.Address = chain.ScriptAddress(n, c.Stub)
	if c.tracedPolicy, err = apply(tracedPolicy, args...); err != nil {
		return nil, err
	}
	c.tracedStub, err = apply(tracedStub, id)
	return c, err
}

// data lists the policy's parameters in the order of validators/lots.ak.
func (p Params) data(n chain.Network, stubPrefix, stubSuffix []byte) []data.PlutusData {
	return []data.PlutusData{
		data.NewConstr(0, data.NewByteString(p.NTX.Policy[:]), data.NewByteString([]byte(p.NTX.Name))),
		data.NewConstr(0, integer(p.MaxRangeMS), integer(p.MinReviewMS), integer(p.MaxReviewMS),
			integer(p.MinHorizonMS), integer(p.MaxHorizonMS), integer(p.MinVerdictMS), integer(p.MaxVerdictMS),
			integer(uint64(p.MinLotLovelace))),
		data.NewConstr(0, data.NewByteString(stubPrefix), data.NewByteString(stubSuffix)),
		data.NewByteString(magic(n)),
		data.NewByteString(p.Sink[:]),
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
