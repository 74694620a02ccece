package requester

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// SignedReceipt is a receipt, with the bytes that both sides signed (market.OpenReceipt reads them).
type SignedReceipt struct {
	Shards  []uint32       `json:"shards"`
	Receipt market.Receipt `json:"receipt"`
	Result  market.Result  `json:"result"`
	Signed  []byte         `json:"signed"`
}

// receipts signs the results of lots that are final, once, and hands the receipts to their providers.
func (f *follower) receipts(ctx context.Context, lots []escrow.Lot) error {
	now, err := f.r.now(ctx)
	if err != nil {
		return err
	}
	for i := range f.rec.Lots {
		l := &f.rec.Lots[i]
		if l.Result == nil || !lots[i].Status.Final() {
			continue
		}
		if l.Receipt == nil {
			rc := market.Receipt{Result: l.Result, Requester: f.r.id, At: now, Accepted: l.Accepted, Sentence: market.Line(l.Rejected, market.MaxMessage)}
			if l.Accepted {
				rc.PriceUNTX = l.PriceUNTX
			}
			if l.Receipt, err = market.SignReceipt(rc, f.r.Peer); err != nil {
				return fmt.Errorf("receipt for %s: %w", l.Offer.Peer, err)
			}
		}
		if err := f.writeReceipt(*l); err != nil {
			return err
		}
	}
	if err := f.save(ctx); err != nil {
		return err
	}
	received := make([]bool, len(f.rec.Lots))
	each(f.rec.Lots, func(i int, l lotRecord) {
		if l.Receipt == nil || l.Received {
			return
		}
		call, cancel := context.WithTimeout(ctx, f.r.cfg.CallTime)
		defer cancel()
		err := f.r.Sellers.Connect(call, l.Offer.Peer, l.Offer.Addrs)
		if err == nil {
			err = f.r.Workers.Receipt(call, l.Offer.Peer, l.Receipt)
		}
		if received[i] = err == nil; err != nil {
			f.r.Log.Warn("requester: a provider did not take its receipt", "id", f.rec.ID, "provider", l.Offer.Peer, "error", err)
		}
	})
	for i, yes := range received {
		f.rec.Lots[i].Received = f.rec.Lots[i].Received || yes
	}
	return f.save(ctx)
}

// writeReceipt leaves a receipt for people in receipts/, and beside it the signed bytes.
func (j *job) writeReceipt(l lotRecord) error {
	rc, err := readReceipt(l)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(rc, "", "  ")
	if err != nil {
		return err
	}
	for _, s := range l.Shards {
		name := shardName(s)
		if err := writeFile(j.dir("receipts", name+".json"), bytes.NewReader(append(text, '\n')), false); err != nil {
			return err
		}
		if err := writeFile(j.dir("receipts", name+".cbor"), bytes.NewReader(l.Receipt), false); err != nil {
			return err
		}
	}
	return nil
}

func readReceipt(l lotRecord) (SignedReceipt, error) {
	rc, res, err := market.OpenReceipt(l.Receipt)
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("%w: receipt of %s: %w", ErrStore, l.Offer.Peer, err)
	}
	return SignedReceipt{Shards: l.Shards, Receipt: rc, Result: res, Signed: l.Receipt}, nil
}
