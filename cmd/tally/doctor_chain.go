package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// chain looks at the node, and through it at the scripts and the wallet, if there is one.
func (d *doctor) chain(ctx context.Context, n testnet.Network, w *wallet.Wallet) error {
	began := time.Now()
	nd, err := d.dial(ctx, n)
	if err != nil {
		d.failed("node", err)
		return ctx.Err()
	}
	defer func() { _ = nd.Close() }()
	d.ok("node", "%s answers, in %s", n.Socket, time.Since(began).Round(time.Millisecond))
	s, err := nd.Status(ctx)
	if err != nil {
		d.failed("chain", err)
		return ctx.Err()
	}
	b, err := awaitBlock(ctx, nd, s.Tip, d.wait)
	if err != nil {
		return err
	}
	d.synced(s, b)
	d.protocol(s)
	d.clock(s, b)
	if err := d.scripts(ctx, nd, n); err != nil {
		return err
	}
	if w == nil {
		return nil
	}
	return d.funds(ctx, nd, n, w)
}

// arrival is a block that came while the doctor watched; none: the zero arrival.
type arrival struct {
	point chain.Point
	at    time.Time
}

var errSeen = errors.New("a block has come")

// awaitBlock follows the chain until a new block comes, or not for so long.
func awaitBlock(ctx context.Context, nd *node.Node, tip chain.Point, wait time.Duration) (a arrival, err error) {
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = nd.Follow(short, []chain.Point{tip}, &lookout{&a})
	if errors.Is(err, errSeen) || short.Err() != nil || errors.Is(err, node.ErrNoIntersection) {
		return a, ctx.Err()
	}
	return a, err
}

type lookout struct{ *arrival }

// Forward implements node.Handler. A block that was there before the node was asked is not new.
func (l *lookout) Forward(_ context.Context, b chain.Block, tip chain.Point) error {
	if b.Point != tip {
		return nil
	}
	l.point, l.at = tip, time.Now()
	return errSeen
}

// Backward implements node.Handler.
func (l *lookout) Backward(context.Context, chain.Point) error { return nil }

// synced says whether the node's chain is of the present.
func (d *doctor) synced(s node.Status, b arrival) {
	now := time.Now()
	if b.point != (chain.Point{}) {
		s.Tip, s.Height = b.point, s.Height+1
	}
	text := fmt.Sprintf("slot %d, height %d, %s old", s.Tip.Slot, s.Height, s.Age(now).Round(100*time.Millisecond))
	switch {
	case s.Age(now) <= s.Quiet():
		d.ok("chain", "%s", text)
	case b.point != (chain.Point{}):
		d.fail("chain", exitNetwork, "the node is catching up: wait, and look again", "%s", text)
	default:
		d.fail("chain", exitNetwork, "the node stalls, or has no peers: look at its log; a wrong clock here looks the same", "%s, and no new block", text)
	}
}

func (d *doctor) protocol(s node.Status) {
	p := s.Params
	if p.ProtocolMajor == 0 {
		d.fail("protocol", exitConfig, "if the node still syncs, wait; if the network has forked, this tally is too old for it",
			"the node is in %s; transactions are built for conway", s.Era)
		return
	}
	d.ok("protocol", "%s, version %s", s.Era, s.Protocol())
	d.ok("parameters", "fee %d + %d a byte, transactions of %d bytes, %d mem and %d steps, collateral %d %%, %d lovelace a byte of output, cost model of %d",
		p.FeeFixed, p.FeePerByte, p.MaxTxSize, p.MaxTxUnits.Mem, p.MaxTxUnits.Steps, p.CollateralPercent, p.CoinsPerByte, len(p.CostModelV3))
}

// clock holds this machine's clock against a block that has just come; without one only a clock that is behind shows.
func (d *doctor) clock(s node.Status, b arrival) {
	const next = "set the clock: timedatectl set-ntp true"
	if b.point == (chain.Point{}) {
		if age := s.Age(time.Now()); age < -node.MaxSkew {
			d.warn("clock", next, "%s", node.SkewText(age))
			return
		}
		d.warn("clock", fmt.Sprintf("tally doctor --wait %s", max(time.Minute, 2*d.wait)), "no block came in %s to hold the clock against", d.wait)
		return
	}
	s.Tip = b.point
	if skew := s.Age(b.at); skew.Abs() > node.MaxSkew {
		d.warn("clock", next, "%s", node.SkewText(skew))
	} else {
		d.ok("clock", "agrees with the chain: a block came %s after its slot began", skew.Round(time.Millisecond))
	}
}

// scripts looks whether the contracts are published where every transaction can refer to them.
func (d *doctor) scripts(ctx context.Context, nd *node.Node, n testnet.Network) error {
	c, err := plutus.New(n.Chain(), n.Contracts)
	if err != nil {
		d.failed("scripts", fail(exitConfig, err, "the contract parameters in network.json cannot be used"))
		return nil
	}
	us, err := nd.UTxOs(ctx, c.Address)
	if err != nil {
		d.failed("scripts", err)
		return ctx.Err()
	}
	missing, all := 0, 0
	for _, x := range published(c, plutus.Frame{}) {
		missing, all = missing+c.Missing(x, us), all+len(x.Outputs)
	}
	if missing > 0 {
		d.warn("scripts", "nothing: transactions carry the scripts and cost more until somebody publishes them",
			"%d of %d are published at %s", all-missing, all, c.Address)
	} else {
		var refs []string
		for _, u := range c.FindReferences(us) {
			refs = append(refs, u.Ref.String())
		}
		d.ok("scripts", "published in %s", strings.Join(refs, ", "))
	}
	return nil
}

// funds looks at what the wallet can spend now.
func (d *doctor) funds(ctx context.Context, nd *node.Node, n testnet.Network, w *wallet.Wallet) error {
	all, err := nd.UTxOs(ctx, w.Address())
	if err != nil {
		d.failed("funds", err)
		return ctx.Err()
	}
	free, collateral, err := d.free(ctx, all)
	if err != nil {
		d.failed("funds", err)
		return nil
	}
	var coin chain.Lovelace
	var untx uint64
	for _, u := range append(free, collateral...) {
		coin += u.Value.Coin
		untx += u.Value.Of(n.Contracts.NTX)
	}
	text := fmt.Sprintf("%s NTX and %s ADA free, in %d of %d outputs", market.FormatNTX(untx), ada(coin), len(free)+len(collateral), len(all))
	send := "send NTX, and ADA for fees, to " + w.Address().String()
	switch {
	case len(all) == 0:
		d.fail("funds", exitFunds, send, "the wallet is empty")
		return nil
	case len(free)+len(collateral) == 0:
		d.warn("funds", "tally wallet utxos shows what each output is reserved for", "%s", text)
	case untx == 0:
		d.warn("funds", send, "%s", text)
	default:
		d.ok("funds", "%s", text)
	}
	if len(collateral) == 0 {
		d.warn("collateral", "tally wallet tidy sets it apart", "no output of %s ADA alone", ada(wallet.CollateralLovelace))
	} else {
		d.ok("collateral", "%s ADA in %s", ada(collateral[0].Value.Coin), collateral[0].Ref)
	}
	return nil
}

// free is what of a wallet's outputs is not reserved.
func (d *doctor) free(ctx context.Context, all []chain.UTxO) (coins, collateral []chain.UTxO, err error) {
	kept, err := wallet.OpenReservations(ctx, d.path("wallet.db"))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	return kept.Coins(ctx, all)
}
