package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/market"
)

func total(us []chain.UTxO) (sum chain.Value, err error) {
	for _, u := range us {
		if sum, err = sum.Add(u.Value); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// standings are the standings, in their order.
func standings() []index.Standing {
	return []index.Standing{index.Pending, index.Confirmed, index.Settled}
}

// standingJSON is an amount of a standing.
type standingJSON map[index.Standing]jsonValue

func (a *app) walletBalance(ctx context.Context) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	deep, err := a.depths(ctx, c)
	if err != nil {
		return err
	}
	sum, err := total(c.all)
	if err != nil {
		return err
	}
	coins, collateral, err := c.kept.Coins(ctx, c.all)
	if err != nil {
		return err
	}
	free, err := total(coins)
	if err != nil {
		return err
	}
	open, err := c.underWay(ctx)
	if err != nil {
		return err
	}
	ntx := c.net.Contracts.NTX
	held, unused := toJSON(sum, ntx), toJSON(free, ntx)
	v := map[string]any{
		"address": c.wallet.Address(), "lovelace": held.Lovelace, "untx": held.UNTX, "assets": held.Assets, "utxos": len(c.all),
		"free": unused, "collateral": len(collateral) > 0, "under_way": open, "standing": nil,
	}
	rows := [][]string{{"NTX", market.FormatNTX(held.UNTX)}, {"ADA", ada(held.Lovelace)}}
	if deep != nil {
		by, err := c.byStanding(deep)
		if err != nil {
			return err
		}
		said := standingJSON{}
		rows = slices.Insert(rows, 0, []string{"", "all"})
		for _, s := range standings() {
			j := toJSON(by[s], ntx)
			said[s] = j
			rows[0], rows[1], rows[2] = append(rows[0], string(s)), append(rows[1], market.FormatNTX(j.UNTX)), append(rows[2], ada(j.Lovelace))
		}
		v["standing"] = said
	}
	return a.print(v, func(w io.Writer) {
		if !free.Equal(sum) {
			rows = append(rows, []string{"free", worth(free, ntx)})
		}
		rows = append(rows, []string{"outputs", fmt.Sprint(len(c.all))}, []string{"address", c.wallet.Address().String()})
		for _, id := range sum.IDs() {
			if id != ntx {
				rows = append(rows, []string{"asset", fmt.Sprintf("%d %s", sum.Of(id), id)})
			}
		}
		for _, id := range open {
			rows = append(rows, []string{"paying", id.String()})
		}
		columns(w, rows...)
	})
}

// underWay are the payments whose end nobody was told of.
func (c *coffer) underWay(ctx context.Context) ([]chain.TxID, error) {
	all, err := c.kept.Payments(ctx)
	ids := []chain.TxID{}
	for _, x := range all {
		if !x.Ended {
			ids = append(ids, x.Tx)
		}
	}
	return ids, err
}

// byStanding adds up what is at the address.
func (c *coffer) byStanding(deep map[chain.OutRef]uint64) (map[index.Standing]chain.Value, error) {
	by := map[index.Standing]chain.Value{}
	for _, u := range c.all {
		s := standingOf(deep[u.Ref], c.net.Confirmations)
		sum, err := by[s].Add(u.Value)
		if err != nil {
			return nil, err
		}
		by[s] = sum
	}
	return by, nil
}

func (a *app) walletUTxOs(ctx context.Context) (err error) {
	c, err := a.openCoffer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	deep, err := a.depths(ctx, c)
	if err != nil {
		return err
	}
	reserved, err := c.kept.All(ctx)
	if err != nil {
		return err
	}
	_, collateral, err := c.kept.Coins(ctx, c.all)
	if err != nil {
		return err
	}
	type output struct {
		Ref chain.OutRef `json:"ref"`
		jsonValue
		Stands index.Standing `json:"standing,omitempty"` // empty: not known
		Depth  uint64         `json:"confirmations,omitempty"`
		For    string         `json:"for,omitempty"` // what it is kept for; empty: it is free
		Until  *time.Time     `json:"until,omitempty"`
	}
	ntx := c.net.Contracts.NTX
	outs := []output{}
	rows := [][]string{{"OUTPUT", "HOLDS", "STANDING", "KEPT FOR"}}
	for _, u := range c.all {
		o := output{Ref: u.Ref, jsonValue: toJSON(u.Value, ntx)}
		if i := slices.IndexFunc(reserved, func(r wallet.Reservation) bool { return r.Ref == u.Ref }); i >= 0 {
			until := time.UnixMilli(int64(reserved[i].Until)).UTC()
			o.For, o.Until = reserved[i].Purpose, &until
		} else if len(collateral) > 0 && collateral[0].Ref == u.Ref {
			o.For = "collateral"
		}
		kept, stands := oneLine(o.For), "not known"
		if o.Until != nil {
			kept += o.Until.Format(", until 2006-01-02 15:04:05Z")
		}
		if deep != nil {
			o.Depth = deep[u.Ref]
			o.Stands = standingOf(o.Depth, c.net.Confirmations)
			stands = fmt.Sprintf("%s, %d deep", o.Stands, o.Depth)
		}
		outs, rows = append(outs, o), append(rows, []string{u.Ref.String(), worth(u.Value, ntx), stands, kept})
	}
	return a.print(outs, func(w io.Writer) { columns(w, rows...) })
}
