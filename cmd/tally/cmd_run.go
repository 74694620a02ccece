package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/market/requester"
)

func runCommand(a *app) *cobra.Command {
	var yes bool
	var results, resume, listen, most string
	c := &cobra.Command{
		Use: "run FILE", Short: "Plan, lock, run, gather and pay a job", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (resume != "") {
				return usage(errors.New("name a job file, or --resume JOB"))
			}
			if resume != "" {
				return a.resume(cmd.Context(), resume, listen)
			}
			return a.run(cmd.Context(), args[0], results, listen, most, yes)
		},
	}
	f := c.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "lock without asking")
	f.StringVar(&results, "results", "", "directory for the gathered outputs (default results/NAME)")
	f.StringVar(&most, "max-locked", setting("MAX_LOCKED", ""), "NTX: refuse a job that would lock more than this together with those under way")
	f.StringVar(&resume, "resume", "", "go on with a job, wherever it was when its process ended")
	f.StringVar(&listen, "listen", p2p.DefaultListen, "multiaddresses to listen on, separated by commas")
	return c
}

func (a *app) run(ctx context.Context, file, results, listen, most string, yes bool) error {
	var locked uint64
	if most != "" {
		var err error
		if locked, err = market.ParseNTX(most); err != nil {
			return usage(fmt.Errorf("--max-locked: %w", err))
		}
	}
	j, err := readJob(file)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	if results == "" {
		results = filepath.Join("results", j.Name)
	}
	if results, err = filepath.Abs(results); err != nil {
		return err
	}
	image, err := imageOf(ctx, j)
	if err != nil {
		return err
	}
	return a.withBuyer(ctx, listen, func(ctx context.Context, b *buyer) (requester.Outcome, error) {
		return b.req.Run(ctx, requester.JobSpec{Job: j, Dir: dir, Image: image, Out: results, MaxLocked: locked}, func(p market.Plan) error {
			return a.confirm(p, yes)
		})
	})
}

func (a *app) resume(ctx context.Context, id, listen string) error {
	return a.withBuyer(ctx, listen, func(ctx context.Context, b *buyer) (requester.Outcome, error) {
		return b.req.Resume(ctx, id)
	})
}

// withBuyer does something with a job and prints how it ended.
func (a *app) withBuyer(ctx context.Context, listen string, f func(context.Context, *buyer) (requester.Outcome, error)) (err error) {
	b, err := a.openBuyer(ctx, access{listen: listen, peers: true}, a.watcher().event)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var out requester.Outcome
	ran := b.buy(ctx, func(ctx context.Context) (err error) {
		out, err = f(ctx, b)
		return err
	})
	switch stopped := errors.Is(ran, context.Canceled); {
	case out.ID == "" && stopped:
		return fail(exitCancelled, errInterrupted, "nothing was locked")
	case out.ID == "":
		return ran
	case stopped && !out.Done:
		ran = fail(exitCancelled, fmt.Errorf("%w: job %s is %s, and nothing is lost", errInterrupted, out.ID, out.Phase),
			"tally run --resume %s goes on with it; do so soon: its providers go on meanwhile", out.ID)
	}
	return errors.Join(ran, a.print(out, func(w io.Writer) { printOutcome(w, out, false, b.standing(ctx)) }))
}

// confirm shows what would be locked and asks.
func (a *app) confirm(p market.Plan, yes bool) error {
	if a.output == "table" {
		printPlan(a.stderr, p, nil)
	}
	if yes || !p.OK() {
		return planned(p)
	}
	yes, err := a.agrees(fmt.Sprintf("Lock %s NTX?", market.FormatNTX(p.TotalUNTX)))
	if err != nil {
		return err
	}
	if !yes {
		return fail(exitWallet, requester.ErrDeclined, "nothing was locked; -y skips the question")
	}
	return nil
}
