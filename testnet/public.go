package testnet

import (
	"fmt"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
)

// magics are the protocol magics of Cardano's public networks (cardano-node's configuration).
var magics = map[string]chain.Network{
	"preview": {Magic: 2}, "preprod": {Magic: 1}, "mainnet": {Magic: 764824073, ID: 1},
}

// PublicNames are the names of Cardano's public networks.
func PublicNames() []string { return []string{"preview", "preprod", "mainnet"} }

// Public are the facts of a market on one of Cardano's public networks, where blocks come every 20 seconds on average.
// Who trades there must agree on all of them but the socket. ErrNetwork: it is none of PublicNames.
func Public(name, socket string, ntx chain.AssetID, bootstrap []string) (Network, error) {
	net, ok := magics[name]
	if !ok {
		return Network{}, fmt.Errorf("%q is none of %v: %w", name, PublicNames(), ErrNetwork)
	}
	pace := LivePace()
	return Network{
		Name: name, Magic: net.Magic, ID: net.ID, Socket: socket, Contracts: plutus.Live(ntx), Bootstrap: append([]string{}, bootstrap...),
		MarginMS: pace.MarginMS, LockMS: pace.LockMS, PollMS: pace.PollMS, Confirmations: liveConfirmations, Policy: pace.Policy,
	}, nil
}

// liveConfirmations is how many blocks make an opening count as locked: a minute or so, after which rollbacks are rare.
const liveConfirmations = 3

// LivePace is a pace for a public network. 20 minutes without a block for a transaction happen when it is loaded, and
// what is due must not depend on less.
func LivePace() Pace {
	const minute = 60_000
	return Pace{
		MarginMS: 15 * minute, LockMS: 20 * minute, PollMS: 10_000,
		Policy: escrow.Policy{DeclineLead: 5 * minute, CommitLead: 15 * minute, Patience: 10 * minute, LeaveStep: minute / 3, Meeting: minute, Grace: 10 * minute},
	}
}

// TestNTX is the asset that stands for NTX where nobody has any, with the script that mints it: whoever holds the key
// can make as many as they like. It is worth nothing.
func TestNTX(key chain.KeyHash) (ntx chain.AssetID, script []byte, err error) {
	if script, err = faucetScript(key); err != nil {
		return ntx, nil, fmt.Errorf("%w: %w", ErrFaucet, err)
	}
	return chain.AssetID{Policy: chain.HashScript(script), Name: "tNTX"}, script, nil
}

// MintTestNTX is a transaction that makes test NTX for the wallet that pays for it.
func MintTestNTX(key chain.KeyHash, untx int64, from, until chain.Slot) (chain.Draft, error) {
	ntx, script, err := TestNTX(key)
	if err != nil {
		return chain.Draft{}, err
	}
	return chain.Draft{
		Mint:    []chain.Mint{{Policy: ntx.Policy, Assets: map[string]int64{ntx.Name: untx}, Redeemer: []byte{0xd8, 0x79, 0x80}}},
		Signers: []chain.KeyHash{key}, Scripts: [][]byte{script}, From: from, Until: until,
	}, nil
}
