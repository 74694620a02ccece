package node

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// conwayReason is an ApplyTxErr of the Conway era with these failures of the rule LEDGER.
func conwayReason(failures ...any) []any { return []any{[]any{6, failures}} }

func utxow(f ...any) []any { return []any{1, f} }

func deleg(f ...any) []any { return []any{2, []any{1, []any{1, f}}} }

func utxo(f ...any) []any { return utxow(0, f) }

// TestRefusal: the constructors and their tags are those of cardano-ledger's EncCBOR instances of
// ConwayLedgerPredFailure, ConwayUtxowPredFailure, ConwayUtxoPredFailure and ConwayUtxosPredFailure.
func TestRefusal(t *testing.T) {
	tx := bytes.Repeat([]byte{7}, 32)
	for name, c := range map[string]struct {
		reason any
		rules  []string
		says   string
	}{
		"bad inputs": {
			conwayReason(utxo(1, cbor.Tag{Number: 258, Content: []any{[]any{tx, 1}}})), []string{"BadInputsUTxO"}, "h'0707",
		},
		"expired":    {conwayReason(utxo(2, []any{[]any{}, []any{90}}, 100)), []string{"OutsideValidityIntervalUTxO"}, "100"},
		"unsigned":   {conwayReason(utxow(2, []any{tx[:28]})), []string{"MissingVKeyWitnessesUTXOW"}, ""},
		"no reward":  {conwayReason([]any{9, map[string]int{}}), []string{"ConwayIncompleteWithdrawals"}, ""},
		"registered": {conwayReason(deleg(2, []any{0, tx[:28]})), []string{"StakeKeyRegisteredDELEG"}, "h'0707"},
		"no pool":    {conwayReason(deleg(6, tx[:28])), []string{"DelegateeStakePoolNotRegisteredDELEG"}, ""},
		"withdrawn":  {conwayReason([]any{2, []any{0, map[string]int{}}}), []string{"WithdrawalsNotInRewardsCERTS"}, ""},
		"pool rule":  {conwayReason([]any{2, []any{1, []any{2, []any{0, 1}}}}), []string{"PoolFailure"}, "[2, [0, 1]]"},
		"metadata":   {conwayReason(utxow(8)), []string{"InvalidMetadata"}, ""},
		"script": {
			conwayReason(utxo(0, []any{0, true, []any{0, "failed"}})), []string{"ValidationTagMismatch"}, "failed",
		},
		"several": {
			conwayReason(utxo(6, 1, 2), utxo(1, []any{[]any{tx, 0}}), utxo(5, 3, 4)),
			[]string{"ValueNotConservedUTxO", "BadInputsUTxO", "FeeTooSmallUTxO"},
			"",
		},
		"all spent": {
			conwayReason([]any{7, "All inputs are spent. Transaction has probably already been included"}), []string{"BadInputsUTxO"}, "included",
		},
		"devnet": {
			conwayReason([]any{7, "the ledger refuses it: BadInputsUTxO, ValueNotConservedUTxO: utxo not found: FeeTooSmallUTxO: x"}),
			[]string{"BadInputsUTxO", "ValueNotConservedUTxO"},
			"utxo not found",
		},
		"other era":       {[]any{[]any{5, "Babbage"}, []any{6, "Conway"}}, []string{"EraMismatch"}, "Babbage"},
		"text":            {"mempool full", nil, "mempool full"},
		"mempool":         {conwayReason([]any{7, "mempool is full"}), nil, "mempool is full"},
		"unknown failure": {conwayReason([]any{77, 1}), nil, "[77, 1]"},
		"unknown rule":    {conwayReason(utxo(99, 1)), nil, "99"},
		"nothing":         {conwayReason(), nil, ""},
		"a number":        {5, nil, "5"},
		"an unknown era":  {[]any{[]any{9, []any{utxo(1, 2)}}}, nil, ""},
		"long":            {strings.Repeat("x", 10_000), nil, "…"},
	} {
		raw, err := cbor.Marshal(c.reason)
		if err != nil {
			t.Fatal(err)
		}
		err = refusal(raw)
		var rules []string
		for _, r := range chain.Broken(err) {
			rules = append(rules, r.Rule)
		}
		if !errors.Is(err, ErrRejected) || !slices.Equal(rules, c.rules) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 2000 {
			t.Errorf("%s: %v: %v, want %v", name, err, rules, c.rules)
		}
	}
}

func FuzzRefusal(f *testing.F) {
	for _, x := range []any{
		conwayReason(utxo(1, []any{})), conwayReason([]any{7, "the ledger refuses it: BadInputsUTxO: x"}), "text", 7,
		[]any{[]any{5, "Babbage"}, []any{6, "Conway"}},
		conwayReason(utxo(0, []any{0, true, []any{0, "failed"}})),
	} {
		b, err := cbor.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := refusal(b)
		if !errors.Is(err, ErrRejected) || len(err.Error()) > maxFailures*2*maxFailureBytes {
			t.Errorf("%x: %v", b, err)
		}
		for _, r := range chain.Broken(err) {
			if r.Rule == "" {
				t.Errorf("%x: a rule without a name", b)
			}
		}
	})
}
