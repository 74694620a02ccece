package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/blinklabs-io/gouroboros/ledger/allegra"
	"github.com/blinklabs-io/gouroboros/ledger/alonzo"
	"github.com/blinklabs-io/gouroboros/ledger/babbage"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"github.com/blinklabs-io/gouroboros/ledger/mary"
	"github.com/blinklabs-io/gouroboros/ledger/shelley"
)

// named gives the stock rules' failures cardano-ledger's names (ConwayUtxoPredFailure, ConwayUtxowPredFailure, ConwayDelegPredFailure
// and the rules above them), so that a submitter reads the same name here as from cardano-node.
func (c *check) named(err error) error {
	var names []string
	seen := map[string]bool{}
	for _, leaf := range failures(err) {
		n := name(leaf)
		if n == "ScriptIntegrityHashMismatch" {
			n = c.renamed("PPViewHashesDontMatch", n)
		}
		if n != "" && !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	if len(names) == 0 && is[lcommon.ExtraneousPlutusScriptWitnessesError](err) {
		// Plutus scripts without redeemers: gouroboros says this of needed scripts too, and something else besides of others.
		names = append(names, "MissingRedeemers")
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrLedger, strings.Join(names, ", "), err)
}

// failures takes errors.Join apart.
func failures(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

func is[T error](err error) bool {
	var x T
	return errors.As(err, &x)
}

// undecodable says whether what failed is an attached script that is none: gouroboros finds out when it runs it.
func undecodable(err error) bool {
	return is[conway.PlutusScriptFailedError](err) && strings.Contains(err.Error(), ": decode script: ")
}

func name(err error) string {
	for _, x := range table {
		if x.is(err) {
			return x.name
		}
	}
	for _, x := range texts {
		if strings.Contains(err.Error(), x.part) {
			return x.name
		}
	}
	return ""
}

var table = []struct {
	is   func(error) bool
	name string
}{
	{undecodable, "MalformedScriptWitnesses"},
	{is[shelley.BadInputsUtxoError], "BadInputsUTxO"},
	{is[lcommon.InputResolutionError], "BadInputsUTxO"},
	{is[lcommon.ReferenceInputResolutionError], "BadInputsUTxO"},
	{is[shelley.ExpiredUtxoError], "OutsideValidityIntervalUTxO"},
	{is[allegra.OutsideValidityIntervalUtxoError], "OutsideValidityIntervalUTxO"},
	{is[shelley.InputSetEmptyUtxoError], "InputSetEmptyUTxO"},
	{is[shelley.FeeTooSmallUtxoError], "FeeTooSmallUTxO"},
	{is[shelley.ValueNotConservedUtxoError], "ValueNotConservedUTxO"},
	{is[shelley.WrongNetworkError], "WrongNetwork"},
	{is[shelley.WrongNetworkWithdrawalError], "WrongNetworkWithdrawal"},
	{is[conway.WrongTransactionNetworkIdError], "WrongNetworkInTxBody"},
	{is[shelley.OutputTooSmallUtxoError], "BabbageOutputTooSmallUTxO"},
	{is[mary.OutputTooBigUtxoError], "OutputTooBigUTxO"},
	{is[shelley.OutputBootAddrAttrsTooBigError], "OutputBootAddrAttrsTooBig"},
	{is[shelley.MaxTxSizeUtxoError], "MaxTxSizeUTxO"},
	{is[alonzo.ExUnitsTooBigUtxoError], "ExUnitsTooBigUTxO"},
	{is[alonzo.InsufficientCollateralError], "InsufficientCollateral"},
	{is[alonzo.CollateralContainsNonAdaError], "CollateralContainsNonADA"},
	{is[alonzo.NoCollateralInputsError], "NoCollateralInputs"},
	{is[babbage.TooManyCollateralInputsError], "TooManyCollateralInputs"},
	{is[babbage.IncorrectTotalCollateralFieldError], "IncorrectTotalCollateralField"},
	{is[babbage.NonDisjointRefInputsError], "BabbageNonDisjointRefInputs"},
	{is[lcommon.MissingVKeyWitnessesError], "MissingVKeyWitnessesUTXOW"},
	{is[lcommon.MissingRequiredVKeyWitnessForSignerError], "MissingVKeyWitnessesUTXOW"},
	{is[lcommon.MissingScriptWitnessesError], "MissingScriptWitnessesUTXOW"},
	{is[lcommon.MissingPlutusScriptWitnessesError], "MissingScriptWitnessesUTXOW"},
	{is[lcommon.ExtraneousScriptWitnessesError], "ExtraneousScriptWitnessesUTXOW"},
	{is[lcommon.MalformedReferenceScriptsError], "MalformedReferenceScripts"},
	{is[lcommon.ScriptDataHashMismatchError], "ScriptIntegrityHashMismatch"},
	{is[lcommon.MissingScriptDataHashError], "ScriptIntegrityHashMismatch"},
	{is[lcommon.ExtraneousScriptDataHashError], "ScriptIntegrityHashMismatch"},
	{is[lcommon.MissingRedeemersForScriptDataHashError], "MissingRedeemers"},
	{is[conway.MissingRedeemerForScriptError], "MissingRedeemers"},
	{is[conway.ExtraRedeemerError], "ExtraRedeemers"},
	{is[conway.MissingDatumForSpendingScriptError], "MissingRequiredDatums"},
	{is[conway.NotAllowedSupplementalDatumsError], "NotAllowedSupplementalDatums"},
	{is[allegra.NativeScriptFailedError], "ScriptWitnessNotValidatingUTXOW"},
	{is[conway.PlutusScriptFailedError], "ValidationTagMismatch"},
	{is[lcommon.RefScriptSizePerTxTooLargeError], "ConwayTxRefScriptsSizeTooBig"},
	{is[lcommon.MissingCostModelError], "CollectErrors"},
	{is[lcommon.InlineDatumsNotSupportedError], "CollectErrors"},
	{is[conway.ScriptContextConstructionError], "CollectErrors"},
	{is[conway.ConwayCertificateWithPlutusV1V2Error], "CollectErrors"},
	{is[conway.CurrentTreasuryValueWithPlutusV1V2Error], "CollectErrors"},
	{is[conway.TreasuryDonationWithPlutusV1V2Error], "CollectErrors"},
	{is[conway.ProposalProceduresWithPlutusV1V2Error], "CollectErrors"},
	{is[conway.VotingProceduresWithPlutusV1V2Error], "CollectErrors"},
	{is[shelley.DelegateToUnregisteredPoolError], "DelegateeStakePoolNotRegisteredDELEG"},
	{is[shelley.DelegateUnregisteredStakeCredentialError], "StakeKeyNotRegisteredDELEG"},
	{is[conway.DelegateVoteToUnregisteredDRepError], "DelegateeDRepNotRegisteredDELEG"},
	{is[conway.StakeCredentialAlreadyRegisteredError], "StakeKeyRegisteredDELEG"},
	{is[lcommon.ConflictingMetadataHashError], "ConflictingMetadataHash"},
	{is[lcommon.MissingTransactionMetadataError], "MissingTxMetadata"},
	{is[lcommon.MissingTransactionAuxiliaryDataHashError], "MissingTxBodyMetadataHash"},
}

// texts recognise failures that dingo and gouroboros give no type of their own.
var texts = []struct{ part, name string }{
	{"conway fee validation: transaction fee", "FeeTooSmallUTxO"},
	{"metadata text exceeds", "InvalidMetadata"},
	{"metadata byte string exceeds", "InvalidMetadata"},
	{"collateral input must be key-locked", "ScriptsNotPaidUTxO"},
	{"missing vkey witness", "MissingVKeyWitnessesUTXOW"},
	{"invalid vkey signature", "InvalidWitnessesUTXOW"},
	{"conway plutus redeemer validation", "MissingRedeemers"},
	{"conway plutus validation", "ValidationTagMismatch"},
}
