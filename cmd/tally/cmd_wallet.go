package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/market"
)

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

func walletCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "wallet", Short: "Keys, addresses and balances"}
	c.AddCommand(
		&cobra.Command{
			Use: "new", Short: "Make a wallet and show its recovery words", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.walletNew() },
		},
		&cobra.Command{
			Use: "address", Short: "Where this participant is paid", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.walletAddress() },
		},
		&cobra.Command{
			Use: "balance", Short: "What the wallet holds now", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.walletBalance(cmd.Context()) },
		},
	)
	return c
}

// makeWallet makes a wallet if there is none; words are those of a new one.
func (a *app) makeWallet() (words string, err error) {
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return "", fail(exitConfig, err, "choose another --home")
	}
	if _, err := os.Stat(a.path("wallet.age")); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if words, err = wallet.NewMnemonic(24); err != nil {
		return "", err
	}
	return words, wallet.Save(a.path("wallet.age"), wallet.Secret{Mnemonic: words}, a.passphrase(true))
}

func (a *app) walletNew() error {
	words, err := a.makeWallet()
	if err != nil {
		return err
	}
	if words == "" {
		return fail(exitWallet, fmt.Errorf("%s: %w", a.path("wallet.age"), wallet.ErrExists), "tally wallet address shows it; another --home has room for another")
	}
	a.note("These words are the wallet. Whoever has them has its money; without them a lost file cannot be restored.")
	return a.print(map[string]string{"words": words}, func(w io.Writer) { fmt.Fprintln(w, words) })
}

func (a *app) walletAddress() error {
	n, err := a.network()
	if err != nil {
		return err
	}
	wl, err := a.openWallet(n)
	if err != nil {
		return err
	}
	v := map[string]any{"address": wl.Address(), "payment_key_hash": wl.PaymentKey()}
	if k, ok := wl.StakeKey(); ok {
		v["stake_key_hash"] = k
	}
	return a.print(v, func(w io.Writer) { fmt.Fprintln(w, wl.Address()) })
}

func (a *app) walletBalance(ctx context.Context) error {
	n, err := a.network()
	if err != nil {
		return err
	}
	wl, err := a.openWallet(n)
	if err != nil {
		return err
	}
	nd, err := a.dial(ctx, n)
	if err != nil {
		return err
	}
	defer func() { _ = nd.Close() }()
	us, err := nd.UTxOs(ctx, wl.Address())
	if err != nil {
		return err
	}
	var lovelace chain.Lovelace
	var untx uint64
	for _, u := range us {
		lovelace += u.Value.Coin
		untx += u.Value.Of(n.Contracts.NTX)
	}
	return a.print(map[string]any{"address": wl.Address(), "lovelace": lovelace, "untx": untx, "utxos": len(us)}, func(w io.Writer) {
		columns(w, []string{"NTX", market.FormatNTX(untx)}, []string{"ADA", ada(lovelace)}, []string{"outputs", fmt.Sprint(len(us))},
			[]string{"address", wl.Address().String()})
	})
}

// ada writes lovelace as ADA.
func ada(l chain.Lovelace) string {
	s := strings.TrimRight(fmt.Sprintf("%d.%06d", l/1_000_000, l%1_000_000), "0")
	return strings.TrimSuffix(s, ".")
}
