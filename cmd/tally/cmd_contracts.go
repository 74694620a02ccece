package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/deployments"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

func contractsCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "contracts", Short: "The escrow's scripts on this network"}
	yes := false
	deploy := &cobra.Command{
		Use: "deploy", Short: "Publish the scripts, unless somebody has: every transaction gets smaller", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.contractsDeploy(cmd.Context(), yes) },
	}
	deploy.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.AddCommand(deploy, &cobra.Command{
		Use: "show", Short: "Hashes, parameters, what is pinned for the network and what is published on it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.contractsShow(cmd.Context()) },
	})
	return c
}

func (a *app) contractsDeploy(ctx context.Context, yes bool) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	contracts, err := plutus.New(c.net.Chain(), c.net.Contracts)
	if err != nil {
		return err
	}
	if _, _, err := pinned(c.net, contracts); err != nil {
		return err
	}
	there, err := c.node.UTxOs(ctx, contracts.Address)
	if err != nil {
		return err
	}
	missing := 0
	for _, d := range published(contracts, plutus.Frame{}) {
		missing += contracts.Missing(d, there)
	}
	if missing == 0 {
		a.note("The contracts are published already: tally contracts show")
		return nil
	}
	return a.deploy(ctx, c, sending{validFor: time.Duration(c.net.LockMS) * time.Millisecond, yes: yes})
}

// published are the transactions that publish all scripts: of lots and stakes, and of slices.
func published(c *plutus.Contracts, f plutus.Frame) []chain.Draft {
	return []chain.Draft{c.Deploy(f), c.DeploySlices(f)}
}

// pinned is the deployment that these contracts are, if the program knows their network and parameters.
func pinned(n testnet.Network, c *plutus.Contracts) (note string, ok bool, err error) {
	known, ok, err := deployments.Of(n.Name)
	if err != nil || !ok || known.Chain() != n.Chain() {
		return "", false, err
	}
	_, ok, err = known.Find(c)
	return known.Note, ok, fail(exitConfig, err, "this tally was built from other contracts: use the release that everybody on %s uses", n.Name)
}

// deployed is what `tally contracts show` says of one version.
type deployed struct {
	Network   string           `json:"network"`
	Policy    chain.ScriptHash `json:"policy"`
	Stub      chain.ScriptHash `json:"stub"`
	Stake     chain.ScriptHash `json:"stake"`
	Address   chain.Address    `json:"address"`
	Bytes     [3]int           `json:"bytes"` // of policy, stub and stake
	Params    plutus.Params    `json:"params"`
	Pinned    bool             `json:"pinned"`
	Note      string           `json:"note,omitempty"`
	Published []chain.OutRef   `json:"published"` // as the node has it
	Older     bool             `json:"older,omitempty"`
}

func (a *app) contractsShow(ctx context.Context) (err error) {
	n, err := a.network()
	if err != nil {
		return err
	}
	node, err := a.dial(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	var all []deployed
	for i, params := range n.Versions() {
		c, err := plutus.New(n.Chain(), params)
		if err != nil {
			return err
		}
		d := deployed{
			Network: n.Name, Policy: c.Policy, Stub: c.Stub, Stake: c.Stake, Address: c.Address, Params: params, Older: i > 0,
			Bytes: [3]int{len(c.PolicyScript), len(c.StubScript), len(c.StakeScript)}, Published: []chain.OutRef{},
		}
		if d.Note, d.Pinned, err = pinned(n, c); err != nil {
			return err
		}
		if !d.Pinned {
			d.Note = "These parameters are pinned for no network: the market is one of whoever shares this network file."
		}
		there, err := node.UTxOs(ctx, c.Address)
		if err != nil {
			return err
		}
		for _, u := range c.FindReferences(there) {
			d.Published = append(d.Published, u.Ref)
		}
		all = append(all, d)
	}
	return a.print(all, func(w io.Writer) {
		for i, d := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			printDeployed(w, d)
		}
	})
}

func printDeployed(w io.Writer, d deployed) {
	published := "nowhere: every transaction carries the scripts it needs; tally contracts deploy publishes them"
	if len(d.Published) > 0 {
		var refs []string
		for _, r := range d.Published {
			refs = append(refs, r.String())
		}
		published = strings.Join(refs, " ")
	}
	ms := func(n uint64) string { return time.Duration(n * uint64(time.Millisecond)).String() }
	p, which := d.Params, "for new jobs"
	if d.Older {
		which = "an older version, for jobs that were opened with it"
	}
	columns(w,
		[]string{"network", d.Network + ", " + which},
		[]string{"policy", fmt.Sprintf("%s  %d bytes", d.Policy, d.Bytes[0])},
		[]string{"stub", fmt.Sprintf("%s  %d bytes", d.Stub, d.Bytes[1])},
		[]string{"stake", fmt.Sprintf("%s  %d bytes", d.Stake, d.Bytes[2])},
		[]string{"lots at", d.Address.String()},
		[]string{"published", published},
		[]string{"pinned", fmt.Sprintf("%t", d.Pinned)},
		[]string{"NTX", p.NTX.String()},
		[]string{"review", ms(p.MinReviewMS) + " to " + ms(p.MaxReviewMS)},
		[]string{"commit_by", ms(p.MinHorizonMS) + " to " + ms(p.MaxHorizonMS) + " after the opening"},
		[]string{"verdict window", ms(p.MinVerdictMS) + " to " + ms(p.MaxVerdictMS)},
		[]string{"unbonding", ms(p.UnbondMS)},
		[]string{"validity", "at most " + ms(p.MaxRangeMS)},
		[]string{"lovelace a lot", fmt.Sprintf("at least %d", p.MinLotLovelace)},
		[]string{"slashes go to", p.Sink.String()},
	)
	if d.Note != "" {
		fmt.Fprintln(w, d.Note)
	}
}
