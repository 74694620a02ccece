package plutus

import (
	"fmt"

	"github.com/blinklabs-io/plutigo/data"
	"github.com/blinklabs-io/plutigo/syn"
	"github.com/fxamacker/cbor/v2"
)

// apply gives a compiled validator its parameters (CIP-57): code and result are flat in one CBOR byte string, as they
// are hashed.
func apply(code []byte, args ...data.PlutusData) ([]byte, error) {
	p, err := program(code)
	if err != nil {
		return nil, err
	}
	for _, a := range args {
		p.Term = &syn.Apply[syn.DeBruijn]{Function: p.Term, Argument: &syn.Constant{Con: &syn.Data{Inner: a}}}
	}
	flat, err := syn.Encode(p)
	if err != nil {
		return nil, fmt.Errorf("encode script: %w", err)
	}
	return cbor.Marshal(flat)
}

// program decodes a script.
func program(code []byte) (*syn.Program[syn.DeBruijn], error) {
	var flat []byte
	if err := cbor.Unmarshal(code, &flat); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	p, err := syn.Decode[syn.DeBruijn](flat)
	if err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	return p, nil
}
