package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/market"
)

// jobRecord is a job in a provider's books: `tally provider status`.
type jobRecord struct {
	Job     string `json:"job"`
	Result  []byte `json:"result"`
	Receipt []byte `json:"receipt"`
}

func (d *demo) readBooks(ctx context.Context) error {
	var mu sync.Mutex
	d.books = map[*Participant][]jobRecord{}
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range d.w.Providers {
		g.Go(func() error {
			var sales struct{ Jobs []jobRecord }
			err := p.Tally(ctx, &sales, "provider", "status")
			mu.Lock()
			defer mu.Unlock()
			d.books[p] = sales.Jobs
			return err
		})
	}
	return g.Wait()
}

// savedReceipt is a receipt's file.
type savedReceipt struct {
	Job      string          `json:"job"`
	Provider string          `json:"provider"`
	SignedBy string          `json:"signed_by"` // both | provider
	Result   *market.Result  `json:"result"`
	Receipt  *market.Receipt `json:"receipt,omitempty"`
	Signed   []byte          `json:"signed"` // the signed bytes: a receipt with the result in it, or the result alone
}

// receipt takes a provider's receipt from the provider's own books, checks its signatures, and writes it down.
func (d *demo) receipt(j *ranJob, p *Participant, s *ShardSummary) error {
	r := savedReceipt{Job: j.id, Provider: p.Peer.String()}
	for _, rec := range d.books[p] {
		if rec.Job != j.id {
			continue
		}
		switch {
		case rec.Receipt != nil:
			receipt, result, err := market.OpenReceipt(rec.Receipt)
			if err != nil {
				return err
			}
			r.SignedBy, r.Receipt, r.Result, r.Signed = "both", &receipt, &result, rec.Receipt
		case rec.Result != nil:
			result, err := market.ReadResult(rec.Result)
			if err != nil {
				return err
			}
			r.SignedBy, r.Result, r.Signed = "provider", &result, rec.Result
		}
	}
	if s.Outcome == "refunded" && r.SignedBy != "both" {
		return nil // nothing was delivered; it may have been signed just before the kill
	}
	if r.Result == nil {
		return fmt.Errorf("%w: %s has signed no result", ErrDemo, p.Name)
	}
	if r.Result.Provider != p.Peer || r.Result.Job.String() != j.id || len(r.Result.Shards) != 1 {
		return fmt.Errorf("%w: it is of another job or provider", ErrDemo)
	}
	want := "both"
	if s.Outcome == "claimed" {
		want = "provider"
	}
	if r.SignedBy != want {
		return fmt.Errorf("%w: it is signed by %s, not by %s", ErrDemo, r.SignedBy, want)
	}
	s.Index, s.ReceiptBy = int(r.Result.Shards[0].Index), r.SignedBy
	s.Receipt = filepath.Join("receipts", fmt.Sprintf("%s-shard-%d.json", j.name, s.Index))
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(d.cfg.Out, s.Receipt)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
