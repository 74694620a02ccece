package plutus

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// The blueprints (CIP-57), written by build.sh.
var (
	//go:embed plutus.json
	silentBlueprint []byte
	//go:embed traced.json
	tracedBlueprint []byte
)

// The validators' titles in a blueprint.
const (
	policyTitle = "lots.lots.mint"
	stubTitle   = "stub.stub.else"
)

type blueprint struct {
	Validators []struct {
		Title string `json:"title"`
		Code  string `json:"compiledCode"`
	} `json:"validators"`
}

// codes reads the two compiled validators, without parameters, each in one CBOR byte string.
func codes(raw []byte) (policy, stub []byte, err error) {
	var b blueprint
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, nil, fmt.Errorf("blueprint: %w", err)
	}
	for _, v := range b.Validators {
		var dst *[]byte
		switch v.Title {
		case policyTitle:
			dst = &policy
		case stubTitle:
			dst = &stub
		default:
			continue
		}
		if *dst, err = hex.DecodeString(v.Code); err != nil {
			return nil, nil, fmt.Errorf("blueprint, %s: %w", v.Title, err)
		}
	}
	if policy == nil || stub == nil {
		return nil, nil, fmt.Errorf("blueprint lacks %s or %s: %w", policyTitle, stubTitle, ErrParams)
	}
	return policy, stub, nil
}
