package chain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func TestMessageLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"one":                         {"one"},
		"one\r\n\ntwo\n":              {"one", "", "two"},
		strings.Repeat("a", 65):       {strings.Repeat("a", 64), "a"},
		strings.Repeat("a", 63) + "é": {strings.Repeat("a", 63), "é"},
		strings.Repeat("😀", 17):       {strings.Repeat("😀", 16), "😀"},
	} {
		if got := chain.MessageLines(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
	if n := len(chain.MessageLines(strings.Repeat("\x80", 500))); n < 8 || n > 9 {
		t.Errorf("no UTF-8: %d lines", n)
	}
}

// TestMessage: a message is read back; metadata that the body does not commit to is an error.
func TestMessage(t *testing.T) {
	tx, _ := payment(t)
	if lines, other, err := tx.Message(); err != nil || other || fmt.Sprint(lines) != "[by file]" {
		t.Errorf("%q %v %v", lines, other, err)
	}
	text := tx.Envelope().CBORHex
	if !strings.HasSuffix(text, "6762792066696c65") { // "by file"
		t.Fatal(text)
	}
	changed, err := chain.ReadTx([]byte(strings.TrimSuffix(text, "65") + "64"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := changed.Message(); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("another message: %v", err)
	}
	for _, line := range []string{strings.Repeat("a", 65), "\xff"} {
		alice := chaintest.NewActor("alice")
		_, err := chain.Balance(chain.Draft{Until: 9, Message: []string{line}}, []chain.UTxO{alice.Coin(0, chain.Coins(9_000_000))}, alice.Address, nil,
			chaintest.Params(), chaintest.Clock(), chaintest.Network())
		if !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%q: %v", line, err)
		}
	}
}
