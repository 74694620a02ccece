package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

func walletNewCommand(a *app) *cobra.Command {
	s, words := wallet.Secret{}, 24
	c := &cobra.Command{
		Use: "new", Short: "Make a wallet and show its recovery words", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.walletNew(s, words) },
	}
	c.Flags().IntVar(&words, "words", words, "how many words: 12, 15, 18, 21 or 24")
	pathFlags(c, &s)
	return c
}

// pathFlags are where a wallet's key is derived.
func pathFlags(c *cobra.Command, s *wallet.Secret) {
	c.Flags().Uint32Var(&s.Account, "account", 0, "CIP-1852 account of the words")
	c.Flags().Uint32Var(&s.Index, "index", 0, "index of the payment address in the account")
}

// noWallet refuses to go on where there is a wallet already.
func (a *app) noWallet() error {
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return fail(exitConfig, err, "choose another --home")
	}
	if _, err := os.Stat(a.path("wallet.age")); !errors.Is(err, fs.ErrNotExist) {
		return a.haveWallet(fmt.Errorf("%s: %w", a.path("wallet.age"), wallet.ErrExists))
	}
	return nil
}

func (a *app) haveWallet(err error) error {
	if errors.Is(err, wallet.ErrExists) {
		return fail(exitWallet, err, "tally wallet address shows it; another --home has room for another")
	}
	return err
}

// makeWallet makes a wallet if there is none; words are those of a new one.
func (a *app) makeWallet() (words string, err error) {
	if err := a.noWallet(); errors.Is(err, wallet.ErrExists) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	if words, err = wallet.NewMnemonic(24); err != nil {
		return "", err
	}
	return words, wallet.Save(a.path("wallet.age"), wallet.Secret{Mnemonic: words}, a.passphrase(true), a.workFactor)
}

func (a *app) walletNew(s wallet.Secret, words int) (err error) {
	if err := a.noWallet(); err != nil {
		return err
	}
	if s.Mnemonic, err = wallet.NewMnemonic(words); errors.Is(err, wallet.ErrSecret) {
		return usage(err)
	} else if err != nil {
		return err
	}
	if err := wallet.Save(a.path("wallet.age"), s, a.passphrase(true), a.workFactor); err != nil {
		return a.haveWallet(err)
	}
	a.note("These words are the wallet. Whoever has them has its money; without them a lost file cannot be restored.")
	return a.print(map[string]string{"words": s.Mnemonic}, func(w io.Writer) { fmt.Fprintln(w, s.Mnemonic) })
}

func walletImportCommand(a *app) *cobra.Command {
	s, key, stake, second, watch := wallet.Secret{}, "", "", false, false
	c := &cobra.Command{
		Use: "import", Short: "Make a wallet of recovery words, typed or from stdin, or of cardano-cli key files", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.walletImport(s, key, stake, second, watch) },
	}
	pathFlags(c, &s)
	c.Flags().StringVar(&key, "key", "", "cardano-cli payment signing key (.skey), instead of words")
	c.Flags().StringVar(&stake, "stake-key", "", "cardano-cli stake signing key beside --key: the address then has a stake part")
	c.Flags().BoolVar(&watch, "watch", false, "the key files are public keys (.vkey): the wallet looks and builds transactions, and signs nothing")
	c.Flags().BoolVar(&second, "bip39-passphrase", false, "the words have a BIP-39 passphrase: ask for it, or take the second line of stdin")
	return c
}

func (a *app) walletImport(s wallet.Secret, key, stake string, second, watch bool) (err error) {
	if key == "" && (stake != "" || watch) || key != "" && (second || s.Account != 0 || s.Index != 0) {
		return usage(errors.New("--key takes --stake-key and --watch beside it, which need it, and nothing else"))
	}
	if err := a.noWallet(); err != nil {
		return err
	}
	if key != "" {
		s, err = importKeys(key, stake, watch)
	} else {
		s.Mnemonic, s.Password, err = a.typedWords(second)
	}
	if err != nil {
		return err
	}
	if err := wallet.Save(a.path("wallet.age"), s, a.passphrase(true), a.workFactor); errors.Is(err, wallet.ErrSecret) {
		return fail(exitWallet, err, "nothing was stored")
	} else if err != nil {
		return a.haveWallet(err)
	}
	a.note("The wallet is in %s.", a.path("wallet.age"))
	if _, err := a.network(); err != nil {
		return nil // its address depends on a network
	}
	return a.walletAddress()
}

func importKeys(key, stake string, watch bool) (s wallet.Secret, err error) {
	payment, ending := wallet.ReadPaymentKey, ".skey"
	if watch {
		payment, ending = wallet.ReadPaymentVKey, ".vkey"
	}
	b, err := readSmall(key)
	if err != nil {
		return s, err
	}
	if s, err = payment(b); err != nil {
		return s, fail(exitWallet, fmt.Errorf("%s: %w", key, err), "--key takes a payment%s of cardano-cli; --watch makes a wallet of public keys (.vkey)", ending)
	}
	if stake == "" {
		return s, nil
	}
	if b, err = readSmall(stake); err != nil {
		return s, err
	}
	read := s.ReadStakeKey
	if watch {
		read = s.ReadStakeVKey
	}
	if s, err = read(b); err != nil {
		err = fmt.Errorf("%s: %w", stake, err)
	}
	return s, fail(exitWallet, err, "--stake-key takes a stake%s of cardano-cli", ending)
}

// typedWords are recovery words, and their passphrase if they have one: typed without being shown, or lines of stdin.
func (a *app) typedWords(second bool) (words, password string, err error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		if words, err = a.hidden("Recovery words: "); err == nil && second {
			password, err = a.hidden("Their BIP-39 passphrase: ")
		}
	} else {
		var b []byte
		b, err = io.ReadAll(io.LimitReader(os.Stdin, maxSmall))
		words = string(b)
		if second {
			words, password, _ = strings.Cut(strings.TrimRight(words, "\r\n"), "\n")
		}
	}
	if err != nil {
		return "", "", err
	}
	words, err = wallet.Mnemonic(words)
	return words, password, fail(exitWallet, err, "type all words in their order, with spaces between; nothing was stored")
}

// maxSmall bounds files that people name: keys, transactions, witnesses.
const maxSmall = 1 << 20

// readSmall reads such a file.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(exitConfig, err, "name a file that can be read")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s has more than %d bytes", path, maxSmall)
	}
	return b, fail(exitConfig, err, "name a file of cardano-cli")
}

func walletExportCommand(a *app) *cobra.Command {
	words, public, yes := false, false, false
	c := &cobra.Command{
		Use: "export [DIR]", Short: "Write the keys as cardano-cli key files, or show the recovery words", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if (len(args) == 1) == words {
				return usage(errors.New("tally wallet export takes a directory for key files, or --words"))
			}
			if words {
				return a.exportWords(yes)
			}
			return a.exportKeys(args[0], public, yes)
		},
	}
	c.Flags().BoolVar(&words, "words", false, "show the recovery words instead")
	c.Flags().BoolVar(&public, "public", false, "only the public keys (.vkey)")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// errKept is a secret that stays where it is.
var errKept = errors.New("not confirmed")

// reveals asks before a secret leaves the wallet.
func (a *app) reveals(yes bool, what string) error {
	if yes {
		return nil
	}
	ok, err := a.agrees("Whoever has " + what + " has the money. Go on?")
	if err == nil && !ok {
		err = fail(exitWallet, errKept, "nothing was written; -y skips the question")
	}
	return err
}

func (a *app) exportWords(yes bool) error {
	s, err := a.secret()
	if err != nil {
		return err
	}
	if s.Mnemonic == "" {
		return fail(exitWallet, errors.New("this wallet was imported from a key file and has no words"), "tally wallet export DIR writes its key files")
	}
	if err := a.reveals(yes, "these words"); err != nil {
		return err
	}
	if s.Password != "" {
		a.note("These words have a BIP-39 passphrase, which is not shown: you chose it.")
	}
	path, _ := s.Path()
	return a.print(map[string]string{"words": s.Mnemonic, "path": path}, func(w io.Writer) { fmt.Fprintln(w, s.Mnemonic) })
}

func (a *app) exportKeys(dir string, public, yes bool) error {
	s, err := a.secret()
	if err != nil {
		return err
	}
	files, err := s.KeyFiles()
	if err != nil {
		return err
	}
	if public {
		maps.DeleteFunc(files, func(name string, _ chain.TextEnvelope) bool { return filepath.Ext(name) == ".skey" })
	}
	if _, secret := files["payment.skey"]; secret {
		if err := a.reveals(yes, "these files"); err != nil {
			return err
		}
	}
	var written []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b, err := json.MarshalIndent(files[name], "", "    ")
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := writeFile(path, append(b, '\n')); err != nil {
			return err
		}
		written = append(written, path)
	}
	return a.print(map[string]any{"files": written}, func(w io.Writer) {
		for _, path := range written {
			fmt.Fprintln(w, path)
		}
	})
}

// writeFile writes a file that a person asked for, and never over another.
func writeFile(path string, b []byte) error {
	err := wallet.WriteNew(path, b)
	if errors.Is(err, fs.ErrExist) {
		return fail(exitConfig, fmt.Errorf("%s is there already", path), "it stays as it is; name another file")
	}
	return fail(exitConfig, err, "nothing was written; name a place that can be written to")
}
