package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

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
				fmt.Fprintf(w, "%s: %s job of %d shards, at most %s NTX\n", j.Name, j.Kind, j.Shards.Count, market.FormatNTX(j.Budget))
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
				if err := a.print(v, func(w io.Writer) {
					printPlan(w, p)
					for _, d := range dropped {
						fmt.Fprintf(w, "%s  not usable: %s\n", short(d.Peer.String()), d.Reason.Sentence)
					}
				}); err != nil {
					return err
				}
				return p.Err()
			})
		},
	}
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
				return a.print(offers, func(w io.Writer) {
					t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
					fmt.Fprintln(t, "PROVIDER\tNTX/s\tSLOTS\tCPUS\tMEMORY MiB\tISOLATION\tGPUS\tREGION")
					for _, o := range offers {
						fmt.Fprintf(t, "%s\t%s\t%d\t%.1f\t%d\t%s\t%s\t%s\n", o.Peer, market.FormatNTX(o.RateUNTX), o.Capacity.Slots,
							float64(o.Capacity.MilliCPU)/1000, o.Capacity.MemoryMiB, o.Isolation, gpuNames(o), o.Region)
					}
					if t.Flush() != nil {
						return
					}
					for _, d := range dropped {
						a.note("%s not usable: %s", d.Peer, d.Reason.Sentence)
					}
				})
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
					return a.print(all, func(w io.Writer) {
						for _, o := range all {
							fmt.Fprintf(w, "%s  %-12s  %-10s  %s\n", o.ID, o.Name, o.Phase, o.Outcome)
						}
						if len(all) == 0 {
							fmt.Fprintln(w, "no jobs yet: tally run job.yaml")
						}
					})
				}
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
				}
				if err := a.print(o, func(w io.Writer) { printOutcome(w, o) }); err != nil {
					return err
				}
				if !o.Done {
					return fail(exitNotFinished, fmt.Errorf("job %s is %s", o.ID, o.Phase), "tally run --resume %s goes on with it", o.ID)
				}
				return nil
			})
		},
	}
}

func logsCommand(a *app) *cobra.Command {
	shard := -1
	c := &cobra.Command{
		Use: "logs JOB", Short: "What the shards' programs wrote, while their providers keep it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asBuyer(cmd.Context(), func(ctx context.Context, b *buyer) error {
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
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
			return a.look(cmd.Context(), func(ctx context.Context, b *buyer) error {
				o, err := b.req.Status(ctx, args[0])
				if err != nil {
					return err
				}
				if _, err := os.Stat(o.Out); err != nil {
					return fail(exitNotFinished, err, "the job is %s; tally run --resume %s goes on with it", o.Phase, o.ID)
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
			return a.look(cmd.Context(), func(ctx context.Context, b *buyer) error {
				all, err := b.req.Receipts(ctx, args[0])
				if err != nil {
					return err
				}
				for _, r := range all {
					if _, _, err := market.OpenReceipt(r.Signed); err != nil {
						return fmt.Errorf("receipt of shards %v: %w", r.Shards, err)
					}
				}
				return a.print(all, func(w io.Writer) {
					for _, r := range all {
						fmt.Fprintf(w, "shards %v  provider %s  accepted %t  %s NTX  root %s\n  %s\n", r.Shards, r.Result.Provider,
							r.Receipt.Accepted, market.FormatNTX(r.Receipt.PriceUNTX), r.Result.Root, hex.EncodeToString(r.Signed[:min(16, len(r.Signed))])+"…")
					}
				})
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
