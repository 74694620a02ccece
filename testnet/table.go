package testnet

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
)

// table prints who ran what, and what that paid.
func (d *demo) table(w io.Writer) error {
	if w == nil {
		return nil
	}
	s := d.sum
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tSHARD\tPROVIDER\tOUTCOME\tPAID\tNTX BEFORE\tNTX AFTER\tOPEN\tCOMMIT\tSETTLE\tSECONDS")
	for _, j := range s.Jobs {
		for _, sh := range j.Shards {
			shard, commit := "-", "-"
			if sh.Index >= 0 {
				shard = fmt.Sprint(sh.Index)
			}
			if sh.Txs.Commit != nil {
				commit = shortTx(*sh.Txs.Commit)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f\n", j.Name, shard, sh.Name, sh.Outcome, market.FormatNTX(sh.PaidUNTX),
				market.FormatNTX(sh.BeforeUNTX), market.FormatNTX(sh.AfterUNTX), shortTx(sh.Txs.Open), commit, shortTx(sh.Txs.Settle), sh.Seconds)
		}
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "WALLET\tNTX BEFORE\tNTX AFTER\tADA BEFORE\tADA AFTER\tNTX AT STAKE")
	for _, a := range slices.SortedFunc(maps.Keys(s.Balances), func(a, b string) int {
		return slices.Compare([]byte(s.Balances[a].Role), []byte(s.Balances[b].Role))
	}) {
		b := s.Balances[a]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Role, market.FormatNTX(b.BeforeUNTX), market.FormatNTX(b.AfterUNTX),
			ada(b.BeforeLovelace), ada(b.AfterLovelace), market.FormatNTX(b.StakeUNTX))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, j := range s.Jobs {
		fmt.Fprintf(w, "%s: %s, %s NTX, fees %s ADA; %s\n", j.Name, j.Outcome, market.FormatNTX(j.PriceUNTX), ada(j.FeesLovelace), j.Result)
	}
	f, tr := s.Figures, s.Training
	fmt.Fprintf(w, "\ntraining: %d steps; accuracy on held-out digits %.4f split over four, %.4f alone; parameters after 10 steps differ by %.1e; equal on all ranks\n",
		tr.Steps, tr.AccuracySplit, tr.AccuracyAlone, tr.MaxRelParamDiff10)
	fmt.Fprintf(w, "seconds: %.1f from `tally run` to the first step, %.1f of training, %.1f from the last step to NTX in the last wallet\n",
		f.SecondsToFirstStep, f.TrainingSeconds, f.SecondsLastStepToPaid)
	fmt.Fprintf(w, "job 1 by phase: %s\n", byPhase(s.Jobs[0].Seconds))
	fmt.Fprintf(w, "per shard of job 1: fees %s ADA of the requester, %s ADA of the provider; locked until settled %s ADA of the requester, %s ADA of the provider\n",
		ada(f.RequesterFeesPerShard), ada(f.ProviderFeesPerShard), ada(f.RequesterLockedPerShard), ada(f.ProviderLockedPerShard))
	fmt.Fprintf(w, "computed on: %s\n", s.GPUs)
	fmt.Fprint(w, "time by phase:")
	var total float64
	for _, p := range []string{"images", "node", "market", "training", "alone", "general", "inference"} {
		fmt.Fprintf(w, " %s %.1f s,", p, s.Seconds[p])
		total += s.Seconds[p]
	}
	_, err := fmt.Fprintf(w, " together %.1f s\n", total)
	return err
}

// byPhase lists the seconds that a requester's phases took, in their order.
func byPhase(seconds map[string]float64) string {
	var parts []string
	for _, p := range []requester.Phase{
		requester.Planned, requester.Quoted, requester.Agreed, requester.Signed, requester.Submitted, requester.Locked,
		requester.Sent, requester.Running, requester.Gathered, requester.Approved, requester.Settled,
	} {
		if s, ok := seconds[string(p)]; ok {
			parts = append(parts, fmt.Sprintf("%s %.1f s", p, s))
		}
	}
	return strings.Join(parts, ", ")
}

func shortTx(id chain.TxID) string { return id.String()[:8] + "…" }

func ada(l chain.Lovelace) string { return fmt.Sprintf("%d.%06d", l/1_000_000, l%1_000_000) }
