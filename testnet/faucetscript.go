package testnet

import (
	"fmt"

	"github.com/blinklabs-io/plutigo/syn"
	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// faucetUPLC is the policy of test NTX: whoever's key is the first required signer of the transaction may mint and burn
// as it likes. It is test money, worth nothing: on the public networks NTX has policies of its own, which no part of
// Tally controls. Untyped Plutus Core, for the script context of Plutus V3 (CIP-69): the signatories are the ninth
// field of the transaction.
const faucetUPLC = `(program 1.1.0
  (lam context
    (force
      [ (force (builtin ifThenElse))
        [ (builtin equalsData)
          (con data (B #%s))
          [ (force (builtin headList))
            [ (builtin unListData)
              [ (force (builtin headList))
                [ (lam drop2 [ drop2 [ drop2 [ drop2 [ drop2
                    [ (force (force (builtin sndPair)))
                      [ (builtin unConstrData)
                        [ (force (builtin headList))
                          [ (force (force (builtin sndPair))) [ (builtin unConstrData) context ] ] ] ] ] ] ] ] ])
                  (lam fields [ (force (builtin tailList)) [ (force (builtin tailList)) fields ] ]) ] ] ] ] ]
        (delay (con unit ()))
        (delay (error)) ])))`

// faucetScript is the policy for one key, as chain.HashScript hashes it.
func faucetScript(key chain.KeyHash) ([]byte, error) {
	named, err := syn.Parse(fmt.Sprintf(faucetUPLC, key))
	if err != nil {
		return nil, fmt.Errorf("faucet's script: %w", err)
	}
	p, err := syn.NameToDeBruijn(named)
	if err != nil {
		return nil, fmt.Errorf("faucet's script: %w", err)
	}
	flat, err := syn.Encode(p)
	if err != nil {
		return nil, fmt.Errorf("faucet's script: %w", err)
	}
	return cbor.Marshal(flat)
}
