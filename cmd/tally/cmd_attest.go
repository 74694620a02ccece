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
	d, err := attester.New(ctx, attester.Deps{
		Dir: p.app.path("cases"), DB: db, Peer: p.key, Contracts: p.contracts, Ledger: p.ledger(), Book: p.book,
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

// panel asks attesters about this party's disputed lots; facts are what the escrow's actor is to know, with their verdicts.
func (p *party) panel(
	evidence func(context.Context, escrow.Key) (market.VerdictRequest, []market.Attester, error),
	own func(context.Context, escrow.Key) (escrow.Facts, error),
) (panel *attester.Panel, facts func(context.Context, escrow.Key) (escrow.Facts, error)) {
	panel = &attester.Panel{
		Contracts: p.contracts, Lots: p.book, Attesters: agree.Client{Host: p.host}, Evidence: evidence,
		Every: 2 * time.Duration(p.net.PollMS) * time.Millisecond, CallTime: 15 * time.Second, Log: p.app.logger,
	}
	return panel, panel.Facts(p.book.Lot, own)
}

// settling runs the panel and the actor of one party until ctx ends.
func (p *party) settling(ctx context.Context, role escrow.Role, evidence func(context.Context, escrow.Key) (market.VerdictRequest, []market.Attester, error),
	own func(context.Context, escrow.Key) (escrow.Facts, error),
) error {
	panel, facts := p.panel(evidence, own)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return panel.Run(ctx) })
	g.Go(func() error { return p.actor(role, facts).Run(ctx) })
	return g.Wait()
}
