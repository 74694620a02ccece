package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
)

// parseAmounts reads amounts with their units as people write them: 5 NTX 2.5 ADA, or 5NTX; 1000000 lovelace; 3 and the
// id of an asset. The same unit twice is a mistake.
func parseAmounts(words []string, ntx chain.AssetID) (v chain.Value, err error) {
	var seen []string
	for i := 0; i < len(words); i++ {
		number := words[i]
		unit := strings.TrimLeft(number, "0123456789.")
		if number = strings.TrimSuffix(number, unit); unit == "" {
			if i++; i == len(words) {
				return v, amountError("%s of what?", number)
			}
			unit = words[i]
		}
		for _, u := range seen {
			if strings.EqualFold(u, unit) {
				return v, amountError("%s twice", unit)
			}
		}
		seen = append(seen, unit)
		var n uint64
		switch strings.ToLower(unit) {
		case "ntx":
			n, err = decimal(number, unit)
			v = v.With(ntx, n)
		case "ada":
			n, err = decimal(number, unit)
			v.Coin += chain.Lovelace(n)
		case "lovelace":
			n, err = whole(number, unit)
			v.Coin += chain.Lovelace(n)
		default:
			var id chain.AssetID
			if id.UnmarshalText([]byte(unit)) != nil {
				return v, amountError("%s %s: units are NTX, ADA, lovelace and POLICY.NAME in hex", number, unit)
			}
			n, err = whole(number, unit)
			v = v.With(id, n)
		}
		if err != nil {
			return v, err
		}
		if n == 0 {
			return v, amountError("%s %s is nothing", number, unit)
		}
		if n > uint64(maxLovelace) && (strings.EqualFold(unit, "ada") || strings.EqualFold(unit, "lovelace")) || v.Coin > maxLovelace {
			return v, amountError("%s %s is more ADA than there is", number, unit)
		}
	}
	return v, nil
}

// maxLovelace is all there can be: 45 billion ADA.
const maxLovelace chain.Lovelace = 45_000_000_000_000_000

func amountError(format string, args ...any) error {
	return fail(exitUsage, fmt.Errorf(format, args...), "write amounts with their units, such as 5 NTX 2.5 ADA")
}

// decimal reads an amount with six decimals, as NTX and ADA have.
func decimal(number, unit string) (uint64, error) {
	n, err := market.ParseNTX(number)
	if errors.Is(err, market.ErrAmount) {
		return 0, amountError("%q is no amount of %s: digits, with at most six after the point", number, unit)
	}
	return n, err
}

func whole(number, unit string) (uint64, error) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, amountError("%q is no amount of %s: a whole number", number, unit)
	}
	return n, nil
}

// worth writes a value with its units: 5 NTX, 2.5 ADA, 3 of another asset.
func worth(v chain.Value, ntx chain.AssetID) string {
	var parts []string
	if q := v.Of(ntx); q > 0 {
		parts = append(parts, market.FormatNTX(q)+" NTX")
	}
	if v.Coin > 0 || len(v.Assets) == 0 {
		parts = append(parts, ada(v.Coin)+" ADA")
	}
	for _, id := range v.IDs() {
		if id != ntx {
			parts = append(parts, fmt.Sprintf("%d %s", v.Of(id), id))
		}
	}
	return strings.Join(parts, ", ")
}

// ada writes lovelace as ADA.
func ada(l chain.Lovelace) string { return market.FormatNTX(uint64(l)) } // both have six decimals

// jsonValue is a value in JSON output; NTX is by its name, and other assets by theirs.
type jsonValue struct {
	Lovelace chain.Lovelace           `json:"lovelace"`
	UNTX     uint64                   `json:"untx"`
	Assets   map[chain.AssetID]uint64 `json:"assets,omitempty"`
}

func toJSON(v chain.Value, ntx chain.AssetID) jsonValue {
	j := jsonValue{v.Coin, v.Of(ntx), map[chain.AssetID]uint64{}}
	for id, q := range v.Assets {
		if id != ntx {
			j.Assets[id] = q
		}
	}
	return j
}

// jsonOutput is an output in JSON.
type jsonOutput struct {
	Address chain.Address `json:"address"`
	jsonValue
}
