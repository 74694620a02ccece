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
	stakeTitle  = "stake.stake.spend"
)

type blueprint struct {
	Validators []struct {
		Title string `json:"title"`
		Code  string `json:"compiledCode"`
	} `json:"validators"`
}

// codes are the compiled validators without parameters, each in one CBOR byte string.
type codes struct{ policy, stub, stake []byte }

func readCodes(raw []byte) (c codes, err error) {
	var b blueprint
	if err := json.Unmarshal(raw, &b); err != nil {
		return c, fmt.Errorf("blueprint: %w", err)
	}
	want := map[string]*[]byte{policyTitle: &c.policy, stubTitle: &c.stub, stakeTitle: &c.stake}
	for _, v := range b.Validators {
		dst := want[v.Title]
		if dst == nil {
			continue
		}
		if *dst, err = hex.DecodeString(v.Code); err != nil {
			return c, fmt.Errorf("blueprint, %s: %w", v.Title, err)
		}
	}
	for title, code := range want {
		if *code == nil {
			return c, fmt.Errorf("blueprint lacks %s: %w", title, ErrParams)
		}
	}
	return c, nil
}
