package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/market/requester"
)

func initCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Set up this participant: keys, wallet, network", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v, err := a.setUp()
			if err != nil {
				return err
			}
			return a.print(v, func(w io.Writer) { fmt.Fprintf(w, "peer     %s\naddress  %s\n", v["peer"], v["address"]) })
		},
	}
}

func validateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE", Short: "Check a job file", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			j, err := readJob(args[0])
			if err != nil {
				return err
			}
			return a.print(j, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s job of %s, at most %s NTX\n", j.Name, j.Kind, j.Shards, market.FormatNTX(j.Budget))
			})
		},
	}
}

func planCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "plan FILE", Short: "Show which offers match and what the job would cost; locks nothing", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			j, err := readJob(args[0])
			if err != nil {
				return err
			}
			image, err := imageOf(cmd.Context(), j)
			if err != nil {
				return err
			}
			return a.asBuyer(cmd.Context(), func(ctx context.Context, b *buyer) error {
				p, dropped, err := b.req.Plan(ctx, j, image)
				if err != nil {
					return err
				}
				v := struct {
					market.Plan
					Dropped []requester.Dropped `json:"dropped"`
				}{p, dropped}
				if err := a.print(v, func(w io.Writer) { printPlan(w, p, dropped) }); err != nil {
					return err
				}
				return planned(p)
			})
		},
	}
}

// planned is why a plan cannot be used; nil: it can.
func planned(p market.Plan) error {
	short := func(r market.Rejection) bool {
		return slices.ContainsFunc(r.Reasons, func(why market.Reason) bool { return why.Code == market.ReasonBudget })
	}
	if slices.ContainsFunc(p.Rejected, short) {
		return fail(exitFunds, p.Err(), "raise budget.max_ntx in the job file, or ask for less")
	}
	return p.Err()
}

func offersCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "offers", Short: "List the market's offers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asBuyer(cmd.Context(), func(ctx context.Context, b *buyer) error {
				offers, dropped, err := finder{b.party}.Find(ctx, market.CapAny)
				if err != nil {
					return err
				}
				for _, d := range dropped {
					a.note("not usable: %s: %s", d.Peer, oneLine(d.Reason.Sentence))
				}
				stakes, err := b.book.FreeStakes(ctx)
				if err != nil {
					return err
				}
				all := []staked{}
				for _, o := range offers {
					k, _ := o.Payment.Key()
					all = append(all, staked{o, stakes[k]})
				}
				return a.print(all, func(w io.Writer) { printOffers(w, all) })
			})
		},
	}
}

// asBuyer opens the participant as a requester for something short that asks the market.
func (a *app) asBuyer(ctx context.Context, f func(context.Context, *buyer) error) error {
	return a.briefly(ctx, access{listen: p2p.DefaultListen, peers: true}, func(ctx context.Context, b *buyer) error {
		if err := b.dht.Bootstrap(ctx); err != nil {
			return err
		}
		return f(ctx, b)
	})
}

// look opens the participant as a requester to see how things stand, also while a job runs here.
func (a *app) look(ctx context.Context, f func(context.Context, *buyer) error) error {
	return a.briefly(ctx, access{look: true}, f)
}

// recall opens the participant as a requester to tell what it knows, without node and market.
func (a *app) recall(ctx context.Context, f func(context.Context, *buyer) error) error {
	return a.briefly(ctx, access{look: true, past: true}, f)
}

// unfinished says that a job is under way, and what to do about it.
func (b *buyer) unfinished(o requester.Outcome) error {
	err := fmt.Errorf("job %s is %s", o.ID, o.Phase)
	if b.busy {
		return fail(exitNotFinished, err, "tally run is at work on it")
	}
	return fail(exitNotFinished, err, "tally run --resume %s goes on with it", o.ID)
}

func (a *app) briefly(ctx context.Context, with access, f func(context.Context, *buyer) error) (err error) {
	b, err := a.openBuyer(ctx, with, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.run(ctx, func(ctx context.Context) error { return f(ctx, b) })
}

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status [JOB]", Short: "How a job stands, or all of them", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.look(cmd.Context(), func(ctx context.Context, b *buyer) error {
				if len(args) == 0 {
					all, err := b.req.List(ctx)
					if err != nil {
						return err
					}
					e, err := b.exposure(ctx)
					if err != nil {
						return err
					}
					return a.print(all, func(w io.Writer) { printJobs(w, all, e) })
				}
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
				}
				if err := a.print(o, func(w io.Writer) { printOutcome(w, o, b.busy, b.standing(ctx)) }); err != nil {
					return err
				}
				if !o.Done {
					return b.unfinished(o)
				}
				return b.req.Ending(ctx, o.ID)
			})
		},
	}
}

// exposure is what is at stake in this requester's lots.
func (b *buyer) exposure(ctx context.Context) (escrow.Exposure, error) {
	var all []escrow.Lot
	for _, v := range b.book.versions() {
		lots, err := v.Lots(ctx)
		if err != nil {
			return escrow.Exposure{}, err
		}
		all = append(all, lots...)
	}
	return escrow.ExposureOf(all...), nil
}

func logsCommand(a *app) *cobra.Command {
	shard := -1
	c := &cobra.Command{
		Use: "logs JOB", Short: "What the shards' programs wrote, while their providers keep it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			with := access{listen: p2p.DefaultListen, look: true, peers: true}
			return a.briefly(cmd.Context(), with, func(ctx context.Context, b *buyer) error {
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
				}
				if o.Done {
					return fail(exitNotFound, fmt.Errorf("job %s is %s: its providers keep no logs any more", o.ID, o.Phase),
						"tally status %s shows the last lines of a program that failed; %s has the metrics", o.ID, filepath.Join(o.Dir, "metrics.csv"))
				}
				var errs []error
				for _, l := range o.Lots {
					for _, s := range l.Shards {
						if shard < 0 || uint32(shard) == s {
							w := &prefixed{w: a.stdout, prefix: "shard " + strconv.Itoa(int(s)) + " | "}
							errs = append(errs, b.req.Logs(ctx, o.ID, s, w), w.flush())
						}
					}
				}
				return errors.Join(errs...)
			})
		},
	}
	c.Flags().IntVar(&shard, "shard", -1, "only this shard's")
	return c
}

func resultsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "results JOB", Short: "Where a job's gathered outputs are", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recall(cmd.Context(), func(ctx context.Context, b *buyer) error {
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
				}
				if _, gathered := o.Seconds[string(requester.Gathered)]; !gathered && !o.Done {
					return b.unfinished(o)
				} else if !gathered {
					return fail(exitJobFailed, fmt.Errorf("job %s is %s and has no results", o.ID, o.Phase), "tally status %s says why", o.ID)
				}
				if _, err := os.Stat(o.Out); err != nil {
					return fail(exitNotFound, err, "somebody moved them; what each shard delivered is in %s", filepath.Join(o.Dir, "outputs"))
				}
				return a.print(map[string]string{"out": o.Out, "dir": o.Dir, "note": o.Note}, func(w io.Writer) { fmt.Fprintln(w, o.Out) })
			})
		},
	}
}

func receiptCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "receipt JOB", Short: "The receipts that both sides signed", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.recall(cmd.Context(), func(ctx context.Context, b *buyer) error {
				all, err := b.req.Receipts(ctx, args[0])
				if err != nil {
					return err
				}
				for _, r := range all {
					if _, _, err := market.OpenReceipt(r.Signed); err != nil {
						return fmt.Errorf("receipt of shards %v: %w", r.Shards, err)
					}
				}
				if len(all) == 0 {
					return fail(exitNotFinished, fmt.Errorf("job %s has no receipts yet", args[0]), "a provider gets one when its lot is settled: tally status %s", args[0])
				}
				if err := a.print(all, func(w io.Writer) { printReceipts(w, all) }); err != nil {
					return err
				}
				a.note("The signatures of both sides were checked: they hold.")
				return nil
			})
		},
	}
}

func cancelCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel JOB", Short: "End a job whose opening is not signed yet", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asBuyer(cmd.Context(), func(ctx context.Context, b *buyer) error { return b.req.Cancel(ctx, args[0]) })
		},
	}
}

// refundCommand goes on with a job until every lot is final: what nobody delivered comes back from commit_by on.
func refundCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "refund JOB", Short: "Bring back what providers did not deliver, once it is due", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.resume(cmd.Context(), args[0], p2p.DefaultListen)
		},
	}
}
