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
	slicesTitle = "slices.slices.mint"
	stubTitle   = "stub.stub.else"
	stakeTitle  = "stake.stake.spend"
)

type blueprint struct {
	Validators []struct {
		Title string `json:"title"`
		Code  string `json:"compiledCode"`
	} `json:"validators"`
}

// codes reads the compiled validators, without parameters, each in one CBOR byte string, by title.
func codes(raw []byte) (map[string][]byte, error) {
	var b blueprint
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("blueprint: %w", err)
	}
	found := map[string][]byte{}
	for _, v := range b.Validators {
		code, err := hex.DecodeString(v.Code)
		if err != nil {
			return nil, fmt.Errorf("blueprint, %s: %w", v.Title, err)
		}
		found[v.Title] = code
	}
	for _, title := range []string{policyTitle, slicesTitle, stubTitle, stakeTitle} {
		if found[title] == nil {
			return nil, fmt.Errorf("blueprint lacks %s: %w", title, ErrParams)
		}
	}
	return found, nil
}
