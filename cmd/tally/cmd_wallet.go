package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/testnet"
)

func walletCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "wallet", Short: "Keys, addresses, balances and payments"}
	c.AddCommand(
		walletNewCommand(a), walletImportCommand(a), walletExportCommand(a),
		&cobra.Command{
			Use: "address", Short: "Where this participant is paid", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.walletAddress() },
		},
		&cobra.Command{
			Use: "balance", Short: "What the wallet holds now", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.walletBalance(cmd.Context()) },
		},
		&cobra.Command{
			Use: "utxos", Short: "The outputs that the wallet holds, and what each is kept for", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.walletUTxOs(cmd.Context()) },
		},
		walletSendCommand(a), walletTidyCommand(a), walletSignCommand(a), walletSubmitCommand(a),
	)
	return c
}

// passphrase is where the wallet's passphrase comes from: the environment, a file in the data directory, or a person.
func (a *app) passphrase(twice bool) wallet.Passphrase {
	return wallet.FromEnv(func() (string, error) {
		path := a.path("passphrase")
		if _, err := os.Stat(path); err == nil {
			return wallet.FromFile(path)()
		}
		return a.ask(twice)
	})
}

func (a *app) ask(twice bool) (string, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", fail(exitWallet, errors.New("nobody is there to type the wallet's passphrase"),
			"set TALLY_WALLET_PASSPHRASE, or write it to %s with mode 0600", a.path("passphrase"))
	}
	pass, err := a.hidden("Wallet passphrase: ")
	if err != nil || !twice {
		return pass, err
	}
	again, err := a.hidden("Once more: ")
	if err == nil && again != pass {
		return "", fail(exitWallet, errors.New("the two passphrases differ"), "type the same one twice")
	}
	return pass, err
}

// hidden asks for a line that the terminal does not show.
func (a *app) hidden(question string) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(a.stderr, question)
	line, err := typed(func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	fmt.Fprintln(a.stderr)
	return line, errors.Join(err, term.Restore(fd, before))
}

// secret unlocks what the participant's keys come from.
func (a *app) secret() (wallet.Secret, error) {
	s, err := wallet.Load(a.path("wallet.age"), a.passphrase(false))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fail(exitConfig, err, "tally wallet new makes one, tally wallet import restores one")
	}
	if errors.Is(err, wallet.ErrSecret) {
		return s, fail(exitWallet, err, "the passphrase comes from TALLY_WALLET_PASSPHRASE, from %s, or is asked for", a.path("passphrase"))
	}
	return s, err
}

// openWallet unlocks the participant's wallet.
func (a *app) openWallet(n testnet.Network) (*wallet.Wallet, error) {
	s, err := a.secret()
	if err != nil {
		return nil, err
	}
	return wallet.New(s, n.Chain())
}

func (a *app) walletAddress() error {
	n, err := a.network()
	if err != nil {
		return err
	}
	s, err := a.secret()
	if err != nil {
		return err
	}
	wl, err := wallet.New(s, n.Chain())
	if err != nil {
		return err
	}
	v := map[string]any{"address": wl.Address(), "payment_key_hash": wl.PaymentKey()}
	if k, ok := wl.StakeKey(); ok {
		v["stake_key_hash"] = k
	}
	if path, ok := s.Path(); ok {
		v["path"] = path
	}
	return a.print(v, func(w io.Writer) { fmt.Fprintln(w, wl.Address()) })
}

// coffer is a wallet with a node to ask and the reservations of its data directory. Other processes may be at work in
// the directory: reservations are what keeps them apart.
type coffer struct {
	net    testnet.Network
	wallet *wallet.Wallet
	node   *node.Node
	kept   *wallet.Reservations
	all    []chain.UTxO // what is at its address, in the chain's order of references
	tip    chain.Point
	height uint64
	params chain.Params
	clock  chain.Clock
	locked *os.File // see name
}

// openCoffer opens the wallet and asks the node what it holds.
func (a *app) openCoffer(ctx context.Context) (c *coffer, err error) {
	c = &coffer{}
	if c.net, err = a.network(); err != nil {
		return nil, err
	}
	if c.wallet, err = a.openWallet(c.net); err != nil {
		return nil, err
	}
	if err := c.look(ctx, a); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *coffer) look(ctx context.Context, a *app) (err error) {
	if c.node, err = a.dial(ctx, c.net); err != nil {
		return err
	}
	if err := c.count(ctx); err != nil {
		return err
	}
	if c.params, err = c.node.Params(ctx); err != nil {
		return err
	}
	if c.clock, err = c.node.Clock(ctx); err != nil {
		return err
	}
	if c.kept, err = wallet.OpenReservations(ctx, a.path("wallet.db")); err != nil {
		return err
	}
	a.sweep()
	return c.kept.Expire(ctx, c.clock.SlotToTime(c.tip.Slot), chain.Time(c.net.MarginMS))
}

// count asks the node what the wallet holds now.
func (c *coffer) count(ctx context.Context) (err error) {
	c.tip, c.height, c.all, err = c.node.Snapshot(ctx, c.wallet.Address())
	slices.SortFunc(c.all, func(a, b chain.UTxO) int { return a.Ref.Compare(b.Ref) })
	return err
}

func (c *coffer) close() error {
	var errs []error
	if c.locked != nil {
		errs = append(errs, c.locked.Close())
		if err := os.Remove(c.locked.Name()); !errors.Is(err, fs.ErrNotExist) { // or somebody has swept it
			errs = append(errs, err)
		}
	}
	if c.kept != nil {
		errs = append(errs, c.kept.Close())
	}
	if c.node != nil {
		errs = append(errs, c.node.Close())
	}
	return errors.Join(errs...)
}

// until is the first slot that starts after d from now. Payments run no scripts, so the node's horizon is no limit.
func (c *coffer) until(d time.Duration) (chain.Slot, error) {
	clk := c.clock
	clk.Horizon = 0
	return clk.CeilSlot(clk.SlotToTime(c.tip.Slot) + chain.Time(d.Milliseconds()))
}

// scriptUntil is until for what runs a script: no later than the node can turn into a time.
func (c *coffer) scriptUntil(d time.Duration) (chain.Slot, error) {
	until, err := c.until(d)
	if h := c.clock.Horizon; h != 0 {
		until = min(until, h)
	}
	return until, err
}
