package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
)

// columns writes rows of cells, aligned. Cells hold no line breaks: texts of others go through oneLine.
func columns(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	_ = t.Flush() // a terminal that is gone cannot be told
}

func printPlan(w io.Writer, p market.Plan, dropped []requester.Dropped) {
	shards := market.Shards{Spares: p.Spares}
	for _, c := range p.Chosen {
		shards.Count += uint32(len(c.Shards))
	}
	shards.Count -= min(shards.Count, p.Spares)
	if len(p.Chosen) > 0 {
		rows := [][]string{{"SHARDS", "PROVIDER", "PRICE NTX", "NTX A SECOND", "ISOLATION", "GPUS", "REGION"}}
		for _, c := range p.Chosen {
			rows = append(rows, []string{
				lotOf(c.Shards, slices.ContainsFunc(c.Shards, shards.Spare)), short(c.Offer.Peer.String()), market.FormatNTX(c.PriceUNTX), market.FormatNTX(c.Offer.RateUNTX),
				oneLine(c.Offer.Isolation), gpuNames(c.Offer), oneLine(c.Offer.Region),
			})
		}
		columns(w, rows...)
	}
	unused := [][]string{{"NOT USED", "WHY"}}
	for _, r := range p.Rejected {
		for i, reason := range r.Reasons {
			name := ""
			if i == 0 {
				name = short(r.Offer.Peer.String())
			}
			unused = append(unused, []string{name, oneLine(reason.Sentence)})
		}
	}
	for _, d := range dropped {
		unused = append(unused, []string{short(d.Peer.String()), oneLine(d.Reason.Sentence)})
	}
	if len(unused) > 1 {
		if len(p.Chosen) > 0 {
			fmt.Fprintln(w)
		}
		columns(w, unused...)
	}
	for _, r := range p.Relaxations {
		fmt.Fprintf(w, "would match with %s, for %s NTX\n", r, market.FormatNTX(r.TotalUNTX))
	}
	if p.OK() {
		fmt.Fprintf(w, "%s, together %s NTX; each provider puts down %s of its price as bond and loses %s of the price if it does not deliver\n",
			shards, market.FormatNTX(p.TotalUNTX), percent(p.BondBps), percent(p.PenaltyBps))
	}
}

// percent writes hundredths of a percent.
func percent(bps uint16) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", bps/100, bps%100), "0"), ".") + " %"
}

// staked is an offer, and what the chain says its provider has at stake beyond what its open lots may lose.
type staked struct {
	market.Offer
	StakeUNTX uint64 `json:"stake_untx"`
}

func printOffers(w io.Writer, offers []staked) {
	rows := [][]string{{"PROVIDER", "NTX A SECOND", "STAKE NTX", "SLOTS", "CPUS", "MEMORY MiB", "ISOLATION", "GPUS", "REGION"}}
	for _, o := range slices.SortedFunc(slices.Values(offers), func(a, b staked) int {
		return cmp.Or(cmp.Compare(a.RateUNTX, b.RateUNTX), cmp.Compare(a.Peer, b.Peer))
	}) {
		rows = append(rows, []string{
			o.Peer.String(), market.FormatNTX(o.RateUNTX), market.FormatNTX(o.StakeUNTX), fmt.Sprint(o.Capacity.Slots), fmt.Sprintf("%.1f", float64(o.Capacity.MilliCPU)/1000),
			fmt.Sprint(o.Capacity.MemoryMiB), oneLine(o.Isolation), gpuNames(o.Offer), oneLine(o.Region),
		})
	}
	columns(w, rows...)
}

func gpuNames(o market.Offer) string {
	if len(o.GPUs) == 0 {
		return "CPU only"
	}
	names := make([]string, len(o.GPUs))
	for i, g := range o.GPUs {
		names[i] = oneLine(g.Model)
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

// span writes shard indices, runs of them as first-last.
func span(shards []uint32) string {
	var parts []string
	for i := 0; i < len(shards); {
		j := i
		for j+1 < len(shards) && shards[j+1] == shards[j]+1 {
			j++
		}
		if parts = append(parts, fmt.Sprint(shards[i])); j > i {
			parts[len(parts)-1] += fmt.Sprintf("-%d", shards[j])
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// lotOf names the shards of a lot in a table.
func lotOf(shards []uint32, spare bool) string {
	if spare {
		return span(shards) + " spare"
	}
	return span(shards)
}

// shardsOf names shards.
func shardsOf(shards []uint32) string {
	if len(shards) == 1 {
		return "shard " + span(shards)
	}
	return "shards " + span(shards)
}

func printJobs(w io.Writer, all []requester.Outcome, e escrow.Exposure) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no jobs yet: tally run job.yaml")
		return
	}
	rows := [][]string{{"JOB", "NAME", "PHASE", "LOTS", "PRICE NTX"}}
	for _, o := range all {
		ended := o.Outcome
		if ended == "" {
			ended = "-"
		}
		rows = append(rows, []string{o.ID, o.Name, string(o.Phase), ended, market.FormatNTX(o.PriceUNTX)})
	}
	columns(w, rows...)
	fmt.Fprintf(w, "locked %s NTX, of which %s for work that is not committed; in disputes %s NTX more\n",
		market.FormatNTX(e.PricesUNTX), market.FormatNTX(e.OpenUNTX), market.FormatNTX(e.DisputesUNTX))
}

// printOutcome shows how a job ended, or how it stands; watched: another process is at work on it. standing says how
// sure a transaction is to stay.
func printOutcome(w io.Writer, o requester.Outcome, watched bool, standing func(chain.TxID) string) {
	fmt.Fprintf(w, "job %s  %s  %s\n", o.ID, o.Name, o.Phase)
	if len(o.Lots) > 0 {
		rows := [][]string{{"SHARDS", "PROVIDER", "LOT", "PRICE NTX", "PAID NTX", "REFUNDED NTX", "PENALTY NTX", ""}}
		for _, l := range o.Lots {
			status := l.Status.String()
			if l.Status == escrow.Absent {
				status = "not locked"
			}
			remark := oneLine(l.Rejected)
			if l.Accepted && l.StoodBy {
				remark = "stood by"
			} else if l.Accepted && l.Spare {
				remark = "came in"
			}
			rows = append(rows, []string{
				lotOf(l.Shards, l.Spare), short(l.Provider.String()), status, market.FormatNTX(l.PriceUNTX), market.FormatNTX(l.PaidUNTX),
				market.FormatNTX(l.RefundedUNTX), market.FormatNTX(l.PenaltyUNTX), remark,
			})
		}
		columns(w, rows...)
	}
	facts := [][]string{}
	if o.Job != nil {
		facts = append(facts, []string{"on chain", o.Job.String()})
	}
	facts = append(facts, transactions(o.Lots, standing)...)
	if o.Fees > 0 {
		facts = append(facts, []string{"fees", ada(o.Fees) + " ADA"})
	}
	if o.Note != "" {
		facts = append(facts, []string{"note", oneLine(o.Note)})
	}
	gathered := false
	if _, err := os.Stat(o.Out); err == nil && o.Outcome != "refunded" && o.Phase != requester.Failed {
		gathered = true
		facts = append(facts, []string{"results", o.Out})
	}
	columns(w, facts...)
	if f := o.Failure; f != nil {
		fmt.Fprintf(w, "first failure: shard %d, exit code %d\n", f.Shard, f.ExitCode)
		for line := range strings.Lines(f.Message) {
			fmt.Fprintln(w, "  "+oneLine(strings.TrimRight(line, "\r\n")))
		}
	}
	switch {
	case gathered && o.Done:
		fmt.Fprintf(w, "next: tally results %s · tally receipt %s\n", o.ID, o.ID)
	case !o.Done && o.Phase == requester.Gathered && o.Verify == market.VerifyReview:
		fmt.Fprintf(w, "next: look at %s, then tally approve %s SHARD… or tally dispute %s SHARD…; tally escrow %s says until when\n", o.Out, o.ID, o.ID, o.ID)
	case !o.Done && watched:
		fmt.Fprintf(w, "next: tally logs %s\n", o.ID)
	case !o.Done && o.ID != "":
		fmt.Fprintf(w, "next: tally run --resume %s · tally logs %s\n", o.ID, o.ID)
	}
}

// transactions are those of a job, each once, with the shards whose lots it touches and how sure it is to stay.
func transactions(lots []requester.LotOutcome, standing func(chain.TxID) string) (rows [][]string) {
	for _, step := range []struct {
		name string
		of   func(requester.Txs) *chain.TxID
	}{
		{"opened by", func(t requester.Txs) *chain.TxID { return t.Open }},
		{"committed by", func(t requester.Txs) *chain.TxID { return t.Commit }},
		{"disputed by", func(t requester.Txs) *chain.TxID { return t.Dispute }},
		{"settled by", func(t requester.Txs) *chain.TxID { return t.Settle }},
	} {
		var order []chain.TxID
		shards := map[chain.TxID][]uint32{}
		for _, l := range lots {
			if id := step.of(l.Txs); id != nil {
				if _, seen := shards[*id]; !seen {
					order = append(order, *id)
				}
				shards[*id] = append(shards[*id], l.Shards...)
			}
		}
		for _, id := range order {
			slices.Sort(shards[id])
			rows = append(rows, []string{step.name, id.String() + "  " + shardsOf(shards[id]) + "  " + standing(id)})
		}
	}
	return rows
}

// printReceipts shows receipts whose signatures have been checked.
func printReceipts(w io.Writer, all []requester.SignedReceipt) {
	for _, r := range all {
		verdict := "accepted, " + market.FormatNTX(r.Receipt.PriceUNTX) + " NTX"
		if !r.Receipt.Accepted {
			verdict = "not accepted: " + oneLine(r.Receipt.Sentence)
		}
		rows := [][]string{
			{shardsOf(r.Shards), verdict},
			{"  provider", r.Result.Provider.String()},
			{"  requester", r.Receipt.Requester.String()},
			{"  outputs", r.Result.Root.String()},
			{"  signed", hex.EncodeToString(r.Signed[:min(12, len(r.Signed))]) + fmt.Sprintf("… (%d bytes; all of them with -o json)", len(r.Signed))},
		}
		for _, s := range r.Result.Shards {
			if s.Circle != nil {
				rows = append(rows, []string{"  at the end", atTheEnd(s)})
			}
		}
		columns(w, rows...)
	}
}

// atTheEnd is who a shard of a job with spares says was there.
func atTheEnd(s market.ShardResult) string {
	switch {
	case s.StoodBy():
		return "it stood by"
	case len(s.Circle.StoodBy) == 0:
		return "it saw shards " + span(s.Circle.Members)
	}
	return "it saw shards " + span(s.Circle.Members) + ", and " + span(s.Circle.StoodBy) + " standing by"
}
