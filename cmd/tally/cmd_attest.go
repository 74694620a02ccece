package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
	"github.com/tallycompute/tally/market/attester"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/plutus"
)

func attestCommand(a *app) *cobra.Command {
	listen, runtime := "", ""
	c := &cobra.Command{
		Use: "attest", Short: "Decide disputes of jobs that name this peer: run again what they are about, and sign", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.attest(cmd.Context(), listen, runtime) },
	}
	c.Flags().StringVar(&listen, "listen", p2p.DefaultListen, "multiaddresses to listen on, separated by commas")
	c.Flags().StringVar(&runtime, "oci-runtime", "", "OCI runtime for containers, such as runsc")
	c.AddCommand(&cobra.Command{
		Use: "log", Short: "What this attester has decided, and why", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.attestLog(cmd.Context()) },
	})
	return c
}

func (a *app) attest(ctx context.Context, listen, runtime string) (err error) {
	engine, err := container.New(container.Config{OCIRuntime: runtime})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	p, err := a.open(ctx, access{listen: listen, peers: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return p.run(ctx, func(ctx context.Context) error { return p.attest(ctx, engine) })
}

func (p *party) attest(ctx context.Context, engine *container.Runtime) (err error) {
	db, err := openDB(p.app.path("attest.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sdk := p.app.path("sdk")
	if err := writeSDK(sdk); err != nil {
		return err
	}
	var versions []*plutus.Contracts
	for _, b := range p.book.versions() {
		versions = append(versions, b.contracts)
	}
	d, err := attester.New(ctx, attester.Deps{
		Dir: p.app.path("cases"), DB: db, Peer: p.key, Contracts: versions, Ledger: p.ledger(), Book: p.book,
		Peers: agree.Client{Host: p.host}, Files: p.files, Engine: engine, SDK: sdk, Log: p.app.logger,
	})
	if err != nil {
		return err
	}
	server := agree.ServeAttester(ctx, p.host, d, agree.ServeOptions{Log: p.app.logger})
	defer func() { err = errors.Join(err, server.Close()) }()
	var names []string
	for _, m := range p.host.Addrs() {
		names = append(names, m.String()+"/p2p/"+p.host.ID().String())
	}
	// One line, as soon as questions are answered: who starts attesters waits for it.
	if err := json.NewEncoder(p.app.stdout).Encode(map[string]any{"ready": true, "peer": p.host.ID(), "address": p.wallet.Address(), "addrs": names}); err != nil {
		return err
	}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // asked to stop
}

func (a *app) attestLog(ctx context.Context) (err error) {
	if _, err := os.Stat(a.path("attest.db")); err != nil {
		return fail(exitConfig, fmt.Errorf("no attester has run in %s", a.home), "tally attest starts one; --home names another directory")
	}
	db, err := openDB(a.path("attest.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	all, err := attester.Verdicts(ctx, db)
	if err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		rows := [][]string{{"WHEN", "JOB", "PROVIDER", "AWARD NTX", "SLASH NTX", "WHY"}}
		for _, v := range all {
			rows = append(rows, []string{
				time.UnixMilli(int64(v.At)).UTC().Format(time.DateTime), short(v.Lot.Job.String()), short(v.Lot.Provider.String()),
				market.FormatNTX(v.AwardUNTX), market.FormatNTX(v.SlashUNTX), oneLine(v.Sentence),
			})
		}
		columns(w, rows...)
	})
}

// settling does what is due on chain for one party until ctx ends, with the verdicts of attesters whom it asks; each
// version of the contracts by itself. A provider leaves slices by a meeting.
func (p *party) settling(ctx context.Context, role escrow.Role, meeting *escrow.Meeting, evidence func(context.Context, escrow.Key) (market.VerdictRequest, []market.Attester, error),
	own func(context.Context, escrow.Key) (escrow.Facts, error),
) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, b := range p.book.versions() {
		panel := &attester.Panel{
			Contracts: b.contracts, Lots: b, Attesters: agree.Client{Host: p.host}, Evidence: evidence,
			Every: 2 * time.Duration(p.net.PollMS) * time.Millisecond, CallTime: 15 * time.Second, Log: p.app.logger,
		}
		actor := &escrow.Actor{
			Role: role, Contracts: b.contracts, Ledger: p.ledger(), Purse: p.purse, Book: b, Policy: p.net.Policy,
			Validity: 2 * time.Duration(p.net.LockMS) * time.Millisecond, Facts: panel.Facts(b.Lot, own), Log: p.app.logger,
		}
		if b == p.book { // those of older contracts are few, and leave alone
			actor.Meeting = meeting
		}
		g.Go(func() error { return panel.Run(ctx) })
		g.Go(func() error { return actor.Run(ctx) })
	}
	return g.Wait()
}
