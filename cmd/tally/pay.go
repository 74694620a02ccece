package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/submit"
	"github.com/tallycompute/tally/chain/wallet"
)

// How a payment survives its process
//
// Reserve, show, ask, sign, store, hand in, wait, say, end: each step is on the disk before the next. What was reserved
// and not signed is free again after some minutes. What is stored is handed in, by this process or by the next that is
// given the same order: it finds the payment, which has not ended, and the file that its owner had locked, which is not
// locked any more, and goes on with the same bytes. A payment ends after its outcome was said, so that whoever was not
// told can ask again.

// asking is how long what is shown stays reserved before it is signed.
const asking = 10 * time.Minute

// purposeOf is what the outputs of a payment are reserved for.
func purposeOf(id chain.TxID) string { return "send " + id.String() }

// order says what a draft does, the same for the same payment, whenever and with whatever coins it is made.
func order(what string, d chain.Draft, to chain.Address, all bool) string {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic(err) // it only has something against keys
	}
	for _, o := range d.Outputs {
		fmt.Fprintf(h, "%s %x %x\n", o.Address, o.Value.Encode(), o.Datum)
	}
	for _, m := range d.Mint {
		fmt.Fprintf(h, "%s %v\n", m.Policy, m.Assets)
	}
	fmt.Fprintf(h, "%s %t %q", to, all, d.Message)
	return what + " " + hex.EncodeToString(h.Sum(nil))
}

// A builder makes a transaction of what can be spent.
type builder func(coins, collateral []chain.UTxO) (*chain.Tx, error)

// pay goes on with a payment of the same order that was interrupted, or makes it.
func (a *app) pay(ctx context.Context, c *coffer, p sending, d chain.Draft, build builder) error {
	if resumed, err := a.goOn(ctx, c, p, d.Message); resumed || err != nil {
		return err
	}
	return a.payAnew(ctx, c, p, d, build)
}

// payAnew makes a payment, whatever was interrupted: goOn has been asked. It builds a transaction, shows it, asks, signs
// and hands it in, as far as p says. What it spends is reserved from before it is shown, so that what is shown is what
// is signed.
func (a *app) payAnew(ctx context.Context, c *coffer, p sending, d chain.Draft, build builder) error {
	if p.dry {
		coins, collateral, err := c.kept.Coins(ctx, c.all)
		if err != nil {
			return err
		}
		tx, err := build(coins, collateral)
		if err != nil {
			return a.poor(ctx, c, err)
		}
		o, err := c.outgoing(tx, d.Message)
		if err != nil {
			return err
		}
		return a.print(o, func(w io.Writer) { columns(w, o.rows(c.net.Contracts.NTX)...) })
	}
	until := c.clock.SlotToTime(d.Until)
	if p.unsigned == "" {
		until = min(until, c.clock.SlotToTime(c.tip.Slot)+chain.Time(asking.Milliseconds()))
	}
	tx, err := c.kept.Take(ctx, c.all, purposeOf, until, build)
	if err != nil {
		return a.poor(ctx, c, err)
	}
	x, o, err := a.agree(ctx, c, p, tx, d)
	if err != nil { // nothing of it can be on the way
		return errors.Join(err, c.kept.Release(context.WithoutCancel(ctx), purposeOf(tx.ID())))
	}
	if p.unsigned != "" {
		return a.print(o, func(io.Writer) {})
	}
	return a.follow(ctx, c, p, x, o)
}

// agree takes a transaction of the wallet's own from being shown to being signed and stored, or unsigned in a file.
func (a *app) agree(ctx context.Context, c *coffer, p sending, tx *chain.Tx, d chain.Draft) (x wallet.Payment, o *outgoing, err error) {
	if o, err = c.outgoing(tx, d.Message); err != nil {
		return x, o, err
	}
	if a.output != "json" {
		columns(a.stderr, o.rows(c.net.Contracts.NTX)...)
	}
	if p.unsigned != "" {
		if err := a.writeEnvelope(p.unsigned, tx.Envelope()); err != nil {
			return x, o, err
		}
		a.note("Its outputs are reserved until it expires. Next: tally wallet sign %s, where the key is; then tally wallet submit %s --witness FILE", p.unsigned, p.unsigned)
		return x, o, nil
	}
	if !p.yes {
		ok, err := a.agrees(worth(o.leaves, c.net.Contracts.NTX) + " leave this wallet. Send?")
		if err == nil && !ok {
			err = fail(exitWallet, errKept, "nothing was sent; -y skips the question")
		}
		if err != nil {
			return x, o, err
		}
	}
	if err := c.wallet.SignBuilt(tx); err != nil {
		return x, o, err
	}
	body, err := tx.Inspect()
	if err != nil {
		return x, o, err
	}
	owner, err := c.name(a)
	if err != nil {
		return x, o, err
	}
	x = wallet.Payment{
		Tx: tx.ID(), Raw: tx.Bytes(), Order: p.order, Owner: owner, Since: c.tip, Height: c.height, Until: c.clock.SlotToTime(body.Until),
	}
	own := slices.DeleteFunc(slices.Clone(body.Inputs), func(ref chain.OutRef) bool {
		return !slices.ContainsFunc(c.all, func(u chain.UTxO) bool { return u.Ref == ref })
	})
	if err = c.kept.Pay(ctx, x, own, purposeOf(x.Tx)); errors.Is(err, wallet.ErrReserved) {
		err = fail(exitWallet, err, "the answer took so long that what it spends went to another payment; nothing was sent, try again")
	}
	return x, o, err
}

// goOn goes on with a payment of the same order that was signed by a process that is gone, if it can still come or has.
// Of others that were, it tells. Where an interrupted payment may have changed what there is to do, it is asked before
// that is looked at.
func (a *app) goOn(ctx context.Context, c *coffer, p sending, message []string) (bool, error) {
	if p.dry || p.unsigned != "" {
		return false, nil
	}
	all, err := c.kept.Payments(ctx)
	if err != nil {
		return false, err
	}
	for _, x := range all {
		lives := a.lives(x.Owner)
		switch {
		case x.Ended || x.Order != p.order && lives:
			continue
		case x.Order != p.order:
			a.note("An earlier payment was interrupted after it had been signed: tally wallet submit %s", a.sentFile(x.Tx))
			if err := a.keep(x); err != nil {
				return false, err
			}
			continue
		case p.again || lives:
			a.note("The same payment is under way already, as %s. This is another one.", x.Tx)
			continue
		}
		owner, err := c.name(a)
		if err != nil {
			return false, err
		}
		mine, err := c.kept.Adopt(ctx, x.Tx, x.Owner, owner)
		if err != nil {
			return false, err
		}
		if !mine { // another process was first
			a.note("The same payment is under way already, as %s. This is another one.", x.Tx)
			continue
		}
		a.note("This payment was interrupted after it had been signed. It goes on, with the same transaction: nothing is paid twice. --again pays once more.")
		tx, err := chain.DecodeTx(x.Raw)
		if err != nil {
			return false, err
		}
		o, err := c.outgoing(tx, message)
		if err != nil {
			return false, err
		}
		if o.Resumed = true; a.output != "json" {
			columns(a.stderr, o.rows(c.net.Contracts.NTX)...)
		}
		if err = a.follow(ctx, c, p, x, o); !tooLate(err, c.now(), c.gone(x)) {
			return true, err
		}
		a.note("It did not get into the chain in time, and never will. This is another one.")
	}
	return false, nil
}

// sentFile is where a signed transaction can be found, to be handed in by hand.
func (a *app) sentFile(id chain.TxID) string { return a.path("sent", id.String()+".tx") }

// keep writes a payment's transaction to its file, if it is not there.
func (a *app) keep(x wallet.Payment) error {
	tx, err := chain.DecodeTx(x.Raw)
	if err != nil {
		return err
	}
	if _, err := os.Stat(a.sentFile(x.Tx)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return a.writeEnvelope(a.sentFile(x.Tx), tx.Envelope())
}

// sinceBuilt is what is known of a payment where it was built.
func sinceBuilt(x wallet.Payment, body chain.TxBody) *submit.Base {
	return &submit.Base{Point: x.Since, Height: x.Height, Unspent: slices.Concat(body.Inputs, body.Collateral, body.References)}
}

// follow takes a stored payment into the chain, as deep as p waits for, and says how it ended.
func (a *app) follow(ctx context.Context, c *coffer, p sending, x wallet.Payment, o *outgoing) error {
	tx, err := chain.DecodeTx(x.Raw)
	if err != nil {
		return err
	}
	body, err := tx.Inspect()
	if err != nil {
		return err
	}
	if err := a.keep(x); err != nil {
		return fail(exitConfig, err, "the same command again goes on, and pays once")
	}
	o.Depth, err = a.handIn(ctx, handover{
		node: c.node, kept: c.kept, tx: tx, since: sinceBuilt(x, body), at: []chain.Address{c.wallet.Address()}, key: c.wallet.PaymentKey(),
		policy: c.net.Confirmations, depth: p.confirmations(c.net.Confirmations),
		again: "the same command again, or tally wallet submit " + a.sentFile(x.Tx) + ", goes on: it pays once, however often",
		anew:  "the same command makes it anew, from " + time.UnixMilli(int64(c.gone(x))).UTC().Format("2006-01-02 15:04:05Z") + " on",
	})
	if err != nil {
		return errors.Join(err, over(context.WithoutCancel(ctx), c.kept, x.Tx, err, c.now(), c.gone(x)))
	}
	o.InChain, o.Stands = o.Depth > 0, standingOf(o.Depth, c.net.Confirmations)
	if err := a.print(o, func(w io.Writer) { fmt.Fprintln(w, o.Tx) }); err != nil {
		return err
	}
	return c.kept.End(context.WithoutCancel(ctx), x.Tx)
}

// over ends a payment that can never get into the chain, so that the same order may be given again: one that a rule
// forbids, and one that came too late.
func over(ctx context.Context, kept *wallet.Reservations, id chain.TxID, err error, now, gone chain.Time) error {
	var e *chain.SubmitError
	switch {
	case errors.As(err, &e) && e.Outcome == chain.Refused:
		return kept.Void(ctx, id, purposeOf(id))
	case tooLate(err, now, gone):
		return kept.End(ctx, id)
	}
	return nil
}

// tooLate says whether a payment that ended with err came too late, and so long ago that no rollback can make it timely.
func tooLate(err error, now, gone chain.Time) bool {
	var e *chain.SubmitError
	return errors.As(err, &e) && e.Outcome == chain.Expired && !errors.Is(err, errGone) && now > gone
}

// now is when the wallet was looked at, in the chain's time.
func (c *coffer) now() chain.Time { return c.clock.SlotToTime(c.tip.Slot) }

// gone is when a payment that came too late cannot come back by a rollback.
func (c *coffer) gone(x wallet.Payment) chain.Time { return x.Until + chain.Time(c.net.MarginMS) }
