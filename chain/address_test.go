package chain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// TestWrongAddresses: every address that cannot be paid says what is wrong with it. Those of CIP-19's vectors
// (CIP-0019/README.md), and a Byron one of cardano-addresses' (its README).
func TestWrongAddresses(t *testing.T) {
	const good = "addr_test1vz2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzerspjrlsz"
	if _, err := chain.ParseAddress(good); err != nil {
		t.Fatal(err)
	}
	for text, says := range map[string]string{
		"":                                     "not bech32",
		"alice":                                "not bech32",
		strings.Replace(good, "pjr", "prj", 1): "checksum does not hold",
		good[:len(good)-1]:                     "checksum does not hold",
		strings.ToUpper(good[:9]) + good[9:]:   "not bech32",
		"Ae2tdPwUPEZLs4HtbuNey7tK4hTKrwNwYtGqp7bDfCy2WdR3P6735W5Yfpe":                                                        "Byron era",
		"37btjrVyb4KDXBNC4haBVPCrro8AQPHwvCMp3RFhhSVWwfFmZ6wwzSK6JK1hY6wHNmtrpTf1kdbva8TCneM2YsiXT7mrzT21EacHnPpz5YyUdj64na": "Byron era",
		"stake_test1uqehkck0lajq8gr28t9uxnuvgcqrc6070x3k9r8048z8y5gssrtvn":                                                   "stake address",
		"stake1uyehkck0lajq8gr28t9uxnuvgcqrc6070x3k9r8048z8y5gh6ffgw":                                                        "stake address",
		"addr1gx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzer5pnz75xxcrzqf96k":                                                "pointer address",
		strings.Repeat("a", 100_000):                                 "100000 characters",
		"addr1vpu5vlrf4xkxv2qpwngf6cjhtw542ayty80v8dyr49rf5eg0yu80w": "its network id is 0",
	} {
		if _, err := chain.ParseAddress(text); !errors.Is(err, chain.ErrMalformed) || !strings.Contains(err.Error(), says) || len(err.Error()) > 300 {
			t.Errorf("%.40q: %v, want %q", text, err, says)
		}
	}
}
