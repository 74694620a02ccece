package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// Bounds of what is read out of a rejection.
const (
	maxReasonBytes  = 64 << 10
	maxFailures     = 16
	maxFailureBytes = 400 // of one failure's text
)

// refusal is a node's reason for a rejection: a rule error for each of the ledger's failures that it names, and its text
// where it names none.
//
// Source: the encoding of ApplyTxErr in ouroboros-consensus-cardano, [[era, [failure…]]], and of ConwayLedgerPredFailure
// and those beneath it in cardano-ledger.
func refusal(reason []byte) error {
	if len(reason) > maxReasonBytes {
		return fmt.Errorf("a reason of %d bytes: %w", len(reason), ErrRejected)
	}
	if text := ""; cbor.Unmarshal(reason, &text) == nil {
		return rejected(named(text))
	}
	var outer []cbor.RawMessage
	if err := cbor.Unmarshal(reason, &outer); err != nil {
		return fmt.Errorf("%w: %s", ErrRejected, diagnosis(reason))
	}
	if len(outer) == 2 {
		return rejected(&chain.RuleError{Rule: "EraMismatch", Detail: diagnosis(reason)})
	}
	var byEra []struct {
		_        struct{} `cbor:",toarray"`
		Era      uint8
		Failures []cbor.RawMessage
	}
	if err := cbor.Unmarshal(reason, &byEra); err != nil || len(byEra) != 1 || byEra[0].Era != conwayIndex {
		return fmt.Errorf("%w: %s", ErrRejected, diagnosis(reason))
	}
	var all []error
	for i, f := range byEra[0].Failures {
		if i == maxFailures {
			break
		}
		all = append(all, failure(f))
	}
	return rejected(all...)
}

// conwayIndex is the era's place in the hard-fork combinator, Byron's being 0.
const conwayIndex = 6

func rejected(why ...error) error { return fmt.Errorf("%w: %w", ErrRejected, errors.Join(why...)) }

// failure reads one failure of the rule LEDGER: down to the constructor that says what is wrong.
func failure(raw cbor.RawMessage) error {
	tag, rest := constructor(raw)
	if tag == mempoolFailure && len(rest) == 1 {
		if text := ""; cbor.Unmarshal(rest[0], &text) == nil {
			return named(text)
		}
	}
	level, inner := ledgerRule, raw
	for {
		tag, rest = constructor(inner)
		below := level.below[tag]
		if below == nil || len(rest) != 1 {
			break
		}
		level, inner = below, rest[0]
	}
	name := pick(level.failures, tag)
	if name == "" {
		return errors.New(diagnosis(raw))
	}
	return &chain.RuleError{Rule: name, Detail: diagnosis(inner)}
}

// constructor takes a value of a sum type apart: [tag, field…].
func constructor(raw cbor.RawMessage) (tag int, fields []cbor.RawMessage) {
	var parts []cbor.RawMessage
	if cbor.Unmarshal(raw, &parts) != nil || len(parts) == 0 || cbor.Unmarshal(parts[0], &tag) != nil {
		return -1, nil
	}
	return tag, parts[1:]
}

func pick(names []string, tag int) string {
	if tag < 0 || tag >= len(names) {
		return ""
	}
	return names[tag]
}

// mempoolFailure is the constructor of ConwayLedgerPredFailure that holds a text.
const mempoolFailure = 7

// rule is one of the ledger's: its failures by their constructors' tags, "" being one that does not occur or holds the
// failure of a rule below.
type rule struct {
	failures []string
	below    map[int]*rule
}

// The rules from LEDGER down, as of cardano-ledger's EncCBOR instances of the types named Conway…PredFailure.
var (
	utxosRule = &rule{failures: []string{"ValidationTagMismatch", "CollectErrors"}}
	utxoRule  = &rule{[]string{
		"", "BadInputsUTxO", "OutsideValidityIntervalUTxO", "MaxTxSizeUTxO", "InputSetEmptyUTxO", "FeeTooSmallUTxO",
		"ValueNotConservedUTxO", "WrongNetwork", "WrongNetworkWithdrawal", "OutputTooSmallUTxO", "OutputBootAddrAttrsTooBig",
		"OutputTooBigUTxO", "InsufficientCollateral", "ScriptsNotPaidUTxO", "ExUnitsTooBigUTxO", "CollateralContainsNonADA",
		"WrongNetworkInTxBody", "OutsideForecast", "TooManyCollateralInputs", "NoCollateralInputs",
		"IncorrectTotalCollateralField", "BabbageOutputTooSmallUTxO", "BabbageNonDisjointRefInputs",
	}, map[int]*rule{0: utxosRule}}
	utxowRule = &rule{[]string{
		"", "InvalidWitnessesUTXOW", "MissingVKeyWitnessesUTXOW", "MissingScriptWitnessesUTXOW", "ScriptWitnessNotValidatingUTXOW",
		"MissingTxBodyMetadataHash", "MissingTxMetadata", "ConflictingMetadataHash", "InvalidMetadata",
		"ExtraneousScriptWitnessesUTXOW", "MissingRedeemers", "MissingRequiredDatums", "NotAllowedSupplementalDatums",
		"PPViewHashesDontMatch", "UnspendableUTxONoDatumHash", "ExtraRedeemers", "MalformedScriptWitnesses",
		"MalformedReferenceScripts", "ScriptIntegrityHashMismatch",
	}, map[int]*rule{0: utxoRule}}
	delegRule = &rule{failures: []string{
		"", "IncorrectDepositDELEG", "StakeKeyRegisteredDELEG", "StakeKeyNotRegisteredDELEG", "StakeKeyHasNonZeroRewardAccountBalanceDELEG",
		"DelegateeDRepNotRegisteredDELEG", "DelegateeStakePoolNotRegisteredDELEG", "DepositIncorrectDELEG", "RefundIncorrectDELEG",
	}}
	certRule   = &rule{[]string{"", "", "PoolFailure", "GovCertFailure"}, map[int]*rule{1: delegRule}}
	certsRule  = &rule{[]string{"WithdrawalsNotInRewardsCERTS"}, map[int]*rule{1: certRule}}
	ledgerRule = &rule{[]string{
		"", "", "", "ConwayGovFailure", "ConwayWdrlNotDelegatedToDRep", "ConwayTreasuryValueMismatch",
		"ConwayTxRefScriptsSizeTooBig", "", "ConwayWithdrawalsMissingAccounts", "ConwayIncompleteWithdrawals",
	}, map[int]*rule{1: utxowRule, 2: certsRule}}
)

// allSpent is how the mempool of cardano-node's Conway era refuses a transaction none of whose inputs is left.
const allSpent = "All inputs are spent"

// named reads a failure that is a text: one that names rules between colons, as tally-devnet writes it, or that of a
// mempool. A text that names none is an error without a rule: what is wrong may pass.
func named(text string) error {
	if strings.HasPrefix(text, allSpent) {
		return &chain.RuleError{Rule: "BadInputsUTxO", Detail: shorten(text)}
	}
	for rest := text; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, ": ")
		names := strings.Split(part, ", ")
		lines := strings.Split(rest, "\n") // one for each, if there are several
		var rules []error
		for i, n := range names {
			if isRule(n) {
				rules = append(rules, &chain.RuleError{Rule: n, Detail: shorten(lines[min(i, len(lines)-1)])})
			}
		}
		if len(rules) == len(names) {
			return errors.Join(rules...)
		}
	}
	return errors.New(shorten(text))
}

func isRule(name string) bool { return name != "" && ledgerRule.has(name) }

// has says whether a failure of that name is among a rule's or those below.
func (r *rule) has(name string) bool {
	if slices.Contains(r.failures, name) {
		return true
	}
	for _, b := range r.below {
		if b.has(name) {
			return true
		}
	}
	return false
}

// diagnosis is CBOR in diagnostic notation (RFC 8949, section 8), shortened.
func diagnosis(raw []byte) string {
	text, err := cbor.Diagnose(raw)
	if err != nil {
		return shorten(fmt.Sprintf("%x", raw))
	}
	return shorten(text)
}

func shorten(s string) string {
	if len(s) > maxFailureBytes {
		return strings.ToValidUTF8(s[:maxFailureBytes], "") + "…"
	}
	return s
}
