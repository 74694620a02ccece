package main

import (
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/requester"
)

func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		initCommand(a), validateCommand(a), planCommand(a), runCommand(a), statusCommand(a), logsCommand(a),
		resultsCommand(a), receiptCommand(a), cancelCommand(a), refundCommand(a), offersCommand(a),
		approveCommand(a), disputeCommand(a), concedeCommand(a), closeCommand(a), escrowCommand(a), attestCommand(a), contractsCommand(a),
		providerCommand(a), walletCommand(a), doctorCommand(a), testnetCommand(a), demoCommand(a), versionCommand(a),
	}
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "tally "+version)
			return err
		},
	}
}

// kinds are the errors that mean something to a person, the most particular first.
func kinds() []kind {
	return []kind{
		{market.ErrJobFile, exitUsage, "each line above names the key to change"},
		{requester.ErrNotFound, exitNotFound, "tally status lists the jobs"},
		{chain.ErrCollateral, exitFunds, "nothing was locked or sent; tally wallet tidy sets five ADA apart as collateral"},
		{requester.ErrNotEnough, exitFunds, "nothing was locked; tally wallet balance shows what there is and is free, tally plan FILE what the job costs; a wallet of one output needs tally wallet tidy first"},
		{requester.ErrNoOffers, exitNetwork, "nothing was locked; tally plan FILE says which offers there are and why they do not match"},
		{market.ErrNoMatch, exitNetwork, "tally plan FILE says which offers there are and what would make them match"},
		{requester.ErrDeclined, exitWallet, "nothing was locked"},
		{requester.ErrRefused, exitWallet, "nothing was locked; run it again to try other providers"},
		{requester.ErrLockExpired, exitRejected, "nothing was locked; run it again"},
		{requester.ErrCancelled, exitCancelled, "nothing was locked"},
		{requester.ErrSigned, exitNotFinished, "its lots are settled or refunded: tally status JOB"},
		{requester.ErrJobFailed, exitJobFailed, "tally logs JOB shows what the programs wrote; what was not approved comes back at the deadline"},
		{requester.ErrWish, exitRejected, "tally escrow JOB shows each lot's state and deadlines"},
		{requester.ErrRefunded, exitRefunded, "the prices came back, with the providers' penalties"},
		{wallet.ErrWatching, exitWallet, "tally wallet send --unsigned FILE writes a transaction to be signed where the key is"},
		{wallet.ErrNotApproved, exitWallet, "nothing was signed"},
		{wallet.ErrStore, exitConfig, "wallet.db holds what is reserved for transactions under way: let its disk have room, and no other program hold it"},
		{index.ErrFull, exitConfig, "make room for index.db; nothing was lost, and it goes on from where it is"},
		{index.ErrLocked, exitConfig, "end the program that holds index.db"},
		{index.ErrForeign, exitConfig, "choose another --home, or a newer tally"},
		{index.ErrDatabase, exitConfig, "if index.db is damaged, delete it: it is built again from the chain"},
		{wallet.ErrSecret, exitWallet, "the passphrase comes from TALLY_WALLET_PASSPHRASE or HOME/passphrase"},
		{wallet.ErrExposed, exitConfig, "chmod 600 the file"},
		{node.ErrWrongNetwork, exitConfig, "network.json and the node must be of one network"},
		{node.ErrUnreachable, exitNetwork, "start the node, or set its socket in network.json"},
		{node.ErrRejected, exitRejected, "nothing moved; the ledger's reason is above"},
		{node.ErrConnection, exitNetwork, "the outcome is unknown: tally status JOB, tally run --resume JOB"},
		{chain.ErrFragmented, exitFunds, "tally wallet tidy joins small outputs"},
		{chain.ErrInsufficient, exitFunds, "tally wallet balance shows what there is"},
		{chain.ErrLedgerRule, exitRejected, "nothing was sent"},
		{executor.ErrEngineUnavailable, exitNetwork, "start the container engine"},
		{syscall.ENOSPC, exitConfig, "the disk is full: make room, and try again; nothing was lost"},
		{syscall.EFBIG, exitConfig, "a file may not grow so large here; nothing was lost"},
		{dht.ErrNoPeers, exitNetwork, "no bootstrap peer of network.json answers"},
	}
}
