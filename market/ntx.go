package market

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// UNTX is how many µNTX an NTX has: the asset has six decimals.
const UNTX = 1_000_000

// ParseNTX reads a decimal amount of NTX with at most six decimals and returns it in µNTX, exactly.
func ParseNTX(s string) (untx uint64, err error) {
	whole, frac, dot := strings.Cut(s, ".")
	switch {
	case !digits(whole) || dot && !digits(frac):
		return 0, fmt.Errorf("%q: %w; write a decimal such as 400 or 0.5", s, ErrAmount)
	case len(frac) > 6:
		return 0, fmt.Errorf("%q: %w; NTX has six decimals", s, ErrAmount)
	}
	n, err := strconv.ParseUint(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w; it is too large", s, ErrAmount)
	}
	return n, nil
}

// FormatNTX writes µNTX as NTX, without trailing zeros.
func FormatNTX(untx uint64) string {
	whole, frac := untx/UNTX, untx%UNTX
	if frac == 0 {
		return strconv.FormatUint(whole, 10)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%06d", whole, frac), "0")
}

// Bond is what a provider locks beside a price, in µNTX, rounded down: bps is in ten-thousandths of the price.
func Bond(priceUNTX uint64, bps uint16) uint64 { return share(priceUNTX, bps) }

// Penalty is what a provider loses for not delivering, in µNTX, rounded down.
func Penalty(priceUNTX uint64, bps uint16) uint64 { return share(priceUNTX, bps) }

// share is x·bps/10000, rounded down, without overflow for bps ≤ 10000.
func share(x uint64, bps uint16) uint64 {
	hi, lo := bits.Mul64(x, uint64(min(bps, 10_000)))
	q, _ := bits.Div64(hi, lo, 10_000)
	return q
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
