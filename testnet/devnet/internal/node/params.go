package node

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

const mainnetMagic = 764824073

// parameter is a protocol parameter that a chain can be made with another value of.
type parameter struct {
	name    string // as cardano-cli's protocol-parameters files have it, compounds taken apart
	mainnet string // decimal
	genesis string // the file it stands in: shelley, alonzo or conway
	at      []string
	times   int64  // the genesis has so many times the value; 0: the value
	prices  bool   // a decimal fraction, not a whole number
	key     uint64 // in an update (Conway CDDL, protocol_param_update)
	part    int    // of a pair there, from 1; 0: alone
}

// parameters are mainnet's as of protocol version 10, where they bear on a transaction. Public sources: the mainnet
// Shelley, Alonzo and Conway genesis files, and the parameter updates enacted since, published in
// IntersectMBO/governance-actions:
//   - mainnet/2024-11-04-ppu: the Plutus V3 cost model grows from 251 to 297 values (CIP-0122, CIP-0123, CIP-0127);
//   - mainnet/2026-01-12-ppu-part1: 16.5 M memory units a transaction, 72 M a block.
//
// Parameters that concern staking rewards and governance are those of dingo's embedded devnet: they never meet a
// transaction of ours.
var parameters = []parameter{
	{name: "txFeePerByte", mainnet: "44", genesis: "shelley", at: []string{"minFeeA"}, key: 0},
	{name: "txFeeFixed", mainnet: "155381", genesis: "shelley", at: []string{"minFeeB"}, key: 1},
	{name: "maxTxSize", mainnet: "16384", genesis: "shelley", at: []string{"maxTxSize"}, key: 3},
	{name: "maxBlockBodySize", mainnet: "90112", genesis: "shelley", at: []string{"maxBlockBodySize"}, key: 2},
	{name: "stakeAddressDeposit", mainnet: "2000000", genesis: "shelley", at: []string{"keyDeposit"}, key: 5},
	{name: "stakePoolDeposit", mainnet: "500000000", genesis: "shelley", at: []string{"poolDeposit"}, key: 6},
	{name: "utxoCostPerByte", mainnet: "4310", genesis: "alonzo", at: []string{"lovelacePerUTxOWord"}, times: 8, key: 17},
	{name: "priceMemory", mainnet: "0.0577", genesis: "alonzo", at: []string{"executionPrices", "prMem"}, prices: true, key: 19, part: 1},
	{name: "priceSteps", mainnet: "0.0000721", genesis: "alonzo", at: []string{"executionPrices", "prSteps"}, prices: true, key: 19, part: 2},
	{name: "maxTxMemory", mainnet: "16500000", genesis: "alonzo", at: []string{"maxTxExUnits", "exUnitsMem"}, key: 20, part: 1},
	{name: "maxTxSteps", mainnet: "10000000000", genesis: "alonzo", at: []string{"maxTxExUnits", "exUnitsSteps"}, key: 20, part: 2},
	{name: "maxBlockMemory", mainnet: "72000000", genesis: "alonzo", at: []string{"maxBlockExUnits", "exUnitsMem"}, key: 21, part: 1},
	{name: "maxBlockSteps", mainnet: "20000000000", genesis: "alonzo", at: []string{"maxBlockExUnits", "exUnitsSteps"}, key: 21, part: 2},
	{name: "maxValueSize", mainnet: "5000", genesis: "alonzo", at: []string{"maxValueSize"}, key: 22},
	{name: "collateralPercentage", mainnet: "150", genesis: "alonzo", at: []string{"collateralPercentage"}, key: 23},
	{name: "maxCollateralInputs", mainnet: "3", genesis: "alonzo", at: []string{"maxCollateralInputs"}, key: 24},
	{name: "minFeeRefScriptCostPerByte", mainnet: "15", genesis: "conway", at: []string{"minFeeRefScriptCostPerByte"}, key: 33},
}

// maxParameter is above every value that means something; what dingo makes of a parameter fits 64 bits with it.
const maxParameter = 1 << 50

// checkParams says what is wrong with values wanted in place of mainnet's.
func checkParams(values map[string]string) error {
	for name, text := range values {
		i := slices.IndexFunc(parameters, func(p parameter) bool { return p.name == name })
		if i < 0 {
			var names []string
			for _, p := range parameters {
				names = append(names, p.name)
			}
			return fmt.Errorf("%w: no protocol parameter %q can be set, only %s", ErrSettings, name, strings.Join(names, ", "))
		}
		n, ok := new(big.Rat).SetString(text)
		switch {
		case !ok || strings.ContainsAny(text, "/eExX_+"):
			return fmt.Errorf("%w: %s is a decimal number, not %q", ErrSettings, name, text)
		case !parameters[i].prices && !n.IsInt():
			return fmt.Errorf("%w: %s is a whole number, not %s", ErrSettings, name, text)
		case n.Sign() < 0 || n.Cmp(new(big.Rat).SetInt64(maxParameter)) > 0:
			return fmt.Errorf("%w: %s of %s is not from 0 to %d", ErrSettings, name, text, int64(maxParameter))
		}
	}
	return nil
}

// setParams writes the chain's parameters into one genesis file: values, and mainnet's where they have none.
func setParams(file string, into object, values map[string]string) error {
	for _, p := range parameters {
		if p.genesis != file {
			continue
		}
		text, set := values[p.name]
		if !set {
			text = p.mainnet
		}
		if p.times > 0 {
			n, ok := new(big.Int).SetString(text, 10)
			if !ok {
				return fmt.Errorf("%w: %s is a whole number, not %q", ErrSettings, p.name, text)
			}
			text = n.Mul(n, big.NewInt(p.times)).String()
		}
		at, last := into, len(p.at)-1
		for _, step := range p.at[:last] {
			below, ok := at[step].(object)
			if !ok {
				below = object{}
				at[step] = below
			}
			at = below
		}
		at[p.at[last]] = json.Number(text)
	}
	return nil
}

// plutusV3Bitwise are the 46 values that mainnet's update of 2024-11-04 appends to the 251 of the Conway genesis, in the
// order of the Plutus ledger API's V3 parameter names.
var plutusV3Bitwise = [46]int64{
	100181, 726, 719, 0, 1, // andByteString
	100181, 726, 719, 0, 1, // orByteString
	100181, 726, 719, 0, 1, // xorByteString
	107878, 680, 0, 1, // complementByteString
	95336, 1, // readBit
	281145, 18848, 0, 1, // writeBits
	180194, 159, 1, 1, // replicateByte
	158519, 8942, 0, 1, // shiftByteString
	159378, 8813, 0, 1, // rotateByteString
	107490, 3298, 1, // countSetBits
	106057, 655, 1, // findFirstSetBit
	1964219, 24520, 3, // ripemd_160
}
