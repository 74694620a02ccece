package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

func testnetNetworkCommand(a *app) *cobra.Command {
	var socket, ntx, out string
	var bootstrap []string
	c := &cobra.Command{
		Use: "network NAME", Short: "Write the network file of a market on " + strings.Join(testnet.PublicNames(), ", "), Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.networkFileFor(args[0], socket, ntx, bootstrap, out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write; else it goes to stdout")
	c.Flags().StringVar(&socket, "socket", "", "node-to-client socket of your Cardano node, or host:port")
	c.Flags().StringVar(&ntx, "ntx", "", "the asset that is NTX there, POLICY.NAME in hex; else test NTX that this wallet can make")
	c.Flags().StringArrayVar(&bootstrap, "bootstrap", nil, "multiaddress of a DHT peer to start from, with /p2p/; for several say it again")
	return c
}

// networkFileFor writes a network file, which is JSON whatever -o says.
func (a *app) networkFileFor(name, socket, ntx string, bootstrap []string, out string) error {
	var id chain.AssetID
	if ntx != "" {
		if err := id.UnmarshalText([]byte(ntx)); err != nil {
			return usage(fmt.Errorf("--ntx: %w", err))
		}
	}
	n, err := testnet.Public(name, socket, id, bootstrap)
	if err != nil {
		return usage(err)
	}
	if ntx == "" {
		if n.ID == 1 {
			return usage(errors.New("on mainnet --ntx says which asset is NTX: nobody can make test NTX there"))
		}
		s, err := a.secret()
		if err != nil {
			return err
		}
		w, err := wallet.New(s, n.Chain())
		if err != nil {
			return err
		}
		if n.Contracts.NTX, _, err = testnet.TestNTX(w.PaymentKey()); err != nil {
			return err
		}
	}
	if err := n.Validate(); err != nil {
		return usage(err)
	}
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	if b = append(b, '\n'); out != "" {
		return writeFile(out, b)
	}
	_, err = a.stdout.Write(b)
	return err
}

func testnetMintCommand(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "mint AMOUNT NTX", Short: "Make test NTX, where they are this wallet's own, and publish the contracts if nobody has", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.mint(cmd.Context(), args, yes) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) mint(ctx context.Context, words []string, yes bool) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	ntx, _, err := testnet.TestNTX(c.wallet.PaymentKey())
	if err != nil {
		return err
	}
	if ntx != c.net.Contracts.NTX || c.net.ID == 1 {
		return fail(exitWallet, fmt.Errorf("NTX is %s on %s, and this wallet's key cannot make it", c.net.Contracts.NTX, c.net.Name),
			"ask whoever made network.json; a wallet makes test NTX of its own on a network of its own: tally testnet network")
	}
	v, err := parseAmounts(words, ntx)
	if err != nil {
		return err
	}
	if v.Of(ntx) == 0 || v.Coin != 0 || len(v.Assets) != 1 || v.Of(ntx) > math.MaxInt64 {
		return usage(errors.New("it makes NTX, such as 1000 NTX"))
	}
	p := sending{validFor: time.Duration(c.net.LockMS) * time.Millisecond, yes: yes}
	until, err := c.scriptUntil(p.validFor)
	if err != nil {
		return err
	}
	d, err := testnet.MintTestNTX(c.wallet.PaymentKey(), int64(v.Of(ntx)), c.tip.Slot, until)
	if err != nil {
		return err
	}
	p.order = order("mint", d, chain.Address{}, false)
	if err := a.pay(ctx, c, p, d, func(coins, collateral []chain.UTxO) (*chain.Tx, error) { return c.balance(d, coins, collateral) }); err != nil {
		return err
	}
	return a.deploy(ctx, c, p)
}

// deploy publishes the contracts as reference scripts, unless they are: that makes every transaction smaller.
func (a *app) deploy(ctx context.Context, c *coffer, p sending) error {
	contracts, err := plutus.New(c.net.Chain(), c.net.Contracts)
	if err != nil {
		return err
	}
	for i := range published(contracts, plutus.Frame{}) {
		if err := a.publish(ctx, c, p, contracts, i); err != nil {
			return err
		}
	}
	return nil
}

// publish is one of the transactions that do.
func (a *app) publish(ctx context.Context, c *coffer, p sending, contracts *plutus.Contracts, i int) error {
	if err := c.count(ctx); err != nil {
		return err
	}
	until, err := c.until(p.validFor)
	if err != nil {
		return err
	}
	d := published(contracts, plutus.Frame{From: c.tip.Slot, Until: until})[i]
	p.order = order("publish", d, chain.Address{}, false)
	if resumed, err := a.goOn(ctx, c, p, nil); resumed || err != nil {
		return err
	}
	there, err := c.node.UTxOs(ctx, contracts.Address)
	if err != nil || contracts.Missing(d, there) == 0 {
		return err
	}
	a.note("The contracts are not published yet. What they are published with stays there for ever.")
	return a.payAnew(ctx, c, p, d, func(coins, collateral []chain.UTxO) (*chain.Tx, error) { return c.balance(d, coins, collateral) })
}
