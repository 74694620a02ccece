package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/market/requester"
)

func runCommand(a *app) *cobra.Command {
	var yes bool
	var results, resume, listen string
	c := &cobra.Command{
		Use: "run FILE", Short: "Plan, lock, run, gather and pay a job", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (resume != "") {
				return usage(errors.New("name a job file, or --resume JOB"))
			}
			if resume != "" {
				return a.resume(cmd.Context(), resume, listen)
			}
			return a.run(cmd.Context(), args[0], results, listen, yes)
		},
	}
	f := c.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "lock without asking")
	f.StringVar(&results, "results", "", "directory for the gathered outputs (default results/NAME)")
	f.StringVar(&resume, "resume", "", "go on with a job, wherever it was when its process ended")
	f.StringVar(&listen, "listen", p2p.DefaultListen, "multiaddresses to listen on, separated by commas")
	return c
}

func (a *app) run(ctx context.Context, file, results, listen string, yes bool) error {
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
		return b.req.Run(ctx, requester.JobSpec{Job: j, Dir: dir, Image: image, Out: results}, func(p market.Plan) error {
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
	b, err := a.openBuyer(ctx, access{listen: listen, peers: true}, a.progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var out requester.Outcome
	ran := b.buy(ctx, func(ctx context.Context) (err error) {
		out, err = f(ctx, b)
		return err
	})
	if out.ID == "" {
		return ran
	}
	return errors.Join(ran, a.print(out, func(w io.Writer) { printOutcome(w, out) }))
}

// confirm shows what would be locked and asks.
func (a *app) confirm(p market.Plan, yes bool) error {
	if a.output == "table" {
		printPlan(a.stderr, p)
	}
	if yes || !p.OK() {
		return p.Err()
	}
	fmt.Fprintf(a.stderr, "Lock %s NTX? [y/N] ", market.FormatNTX(p.TotalUNTX))
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if l := strings.ToLower(strings.TrimSpace(line)); l != "y" && l != "yes" {
		return fail(exitWallet, requester.ErrDeclined, "nothing was locked; -y skips the question")
	}
	return nil
}

// progress prints an event: a line for people, or a JSON object a line.
func (a *app) progress(e requester.Event) {
	if a.output == "json" {
		if b, err := json.Marshal(e); err == nil {
			fmt.Fprintln(a.stderr, string(b))
		}
		return
	}
	switch {
	case e.Shard != nil && e.ShardPhase != "":
		a.note("%7.1fs  shard %d  %-10s  %s", e.Seconds, *e.Shard, e.ShardPhase, oneLine(e.Message))
	case e.Entered:
		line := fmt.Sprintf("%7.1fs  %-10s  %s", e.Seconds, e.Phase, oneLine(e.Message))
		if e.Tx != nil {
			line += "  tx " + e.Tx.String()
		}
		a.note("%s", line)
	case e.Message != "":
		a.note("%7.1fs  %-10s  %s", e.Seconds, "", oneLine(e.Message))
	}
}

// oneLine makes a provider's text safe for a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func printPlan(w io.Writer, p market.Plan) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROVIDER\tSHARDS\tPRICE NTX\tRATE NTX/s\tISOLATION\tGPUS")
	for _, c := range p.Chosen {
		fmt.Fprintf(t, "%s\t%v\t%s\t%s\t%s\t%s\n", short(c.Offer.Peer.String()), c.Shards, market.FormatNTX(c.PriceUNTX),
			market.FormatNTX(c.Offer.RateUNTX), c.Offer.Isolation, gpuNames(c.Offer))
	}
	for _, r := range p.Rejected {
		for i, reason := range r.Reasons {
			name := ""
			if i == 0 {
				name = short(r.Offer.Peer.String())
			}
			fmt.Fprintf(t, "%s\t-\t%s\n", name, reason.Sentence)
		}
	}
	if err := t.Flush(); err != nil {
		return
	}
	if p.Problem != "" {
		fmt.Fprintln(w, p.Problem)
	}
	for _, r := range p.Relaxations {
		fmt.Fprintf(w, "would match with %s, for %s NTX\n", r, market.FormatNTX(r.TotalUNTX))
	}
	if p.OK() {
		fmt.Fprintf(w, "together %s NTX; bonds %d and penalties %d hundredths of a percent\n", market.FormatNTX(p.TotalUNTX), p.BondBps, p.PenaltyBps)
	}
}

func gpuNames(o market.Offer) string {
	if len(o.GPUs) == 0 {
		return "CPU only"
	}
	names := make([]string, len(o.GPUs))
	for i, g := range o.GPUs {
		names[i] = g.Model
	}
	return strings.Join(names, ", ")
}

// short is the end of an id, enough to tell a few apart.
func short(s string) string {
	if len(s) > 12 {
		return "…" + s[len(s)-11:]
	}
	return s
}

func printOutcome(w io.Writer, o requester.Outcome) {
	fmt.Fprintf(w, "job %s  %s  %s\n", o.ID, o.Name, o.Phase)
	if o.Job != nil {
		fmt.Fprintf(w, "on chain %s\n", o.Job)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARDS\tPROVIDER\tLOT\tPAID\tREFUNDED\tPENALTY\tSETTLED BY")
	for _, l := range o.Lots {
		tx := "-"
		if l.Txs.Settle != nil {
			tx = l.Txs.Settle.String()
		}
		fmt.Fprintf(t, "%v\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Shards, short(l.Provider.String()), l.Status, market.FormatNTX(l.PaidUNTX),
			market.FormatNTX(l.RefundedUNTX), market.FormatNTX(l.PenaltyUNTX), tx)
	}
	if err := t.Flush(); err != nil {
		return
	}
	if o.Note != "" {
		fmt.Fprintln(w, o.Note)
	}
	if o.Failure != nil {
		fmt.Fprintf(w, "first failure: shard %d, exit code %d\n%s\n", o.Failure.Shard, o.Failure.ExitCode, o.Failure.Message)
	}
	fmt.Fprintf(w, "fees %s ADA; results in %s\n", ada(o.Fees), o.Out)
	fmt.Fprintf(w, "next: tally results %s · tally receipt %s · tally logs %s\n", o.ID, o.ID, o.ID)
}
