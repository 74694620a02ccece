package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker when a release is built.
var version = "0.1.0-dev"

// app is what every command shares: where it prints, and the flags that all of them have.
type app struct {
	stdout, stderr io.Writer
	console        *console // stderr, where a line can be written over; nil: it cannot
	output         string   // table | json
	verbose        bool
	home           string // data directory of this participant
	networkFile    string // public facts of the network; empty: the one in home
	logger         *slog.Logger
	workFactor     int // of the hash that guards new wallets; 0: wallet.WorkFactor
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "tally",
		Short:         "Split a machine-learning job over strangers' machines and settle it on Cardano",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.prepare()
		},
	}
	root.SetVersionTemplate("tally {{.Version}}\n")
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", setting("OUTPUT", "table"), "what stdout carries: table or json")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what happens inside to stderr")
	f.StringVar(&a.home, "home", setting("HOME", defaultHome()), "data directory of this participant (keys, index, jobs)")
	f.StringVar(&a.networkFile, "network", setting("NETWORK", ""), "file with the network's public facts (default HOME/network.json)")
	root.AddCommand(commands(a)...)
	strict(root)
	return root
}

// strict makes every mistake in the words of a command a usage error: an unknown command, too many arguments, too few.
func strict(c *cobra.Command) {
	if !c.Runnable() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			err := fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
			if like := c.SuggestionsFor(args[0]); len(like) > 0 {
				return &failure{exitUsage, "did you mean " + c.CommandPath() + " " + strings.Join(like, ", ") + "?", err}
			}
			return usage(err)
		}
	} else if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(fmt.Errorf("%s: %w", c.CommandPath(), err))
			}
			return nil
		}
	}
	c.SuggestionsMinimumDistance = 2
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

func (a *app) prepare() error {
	if a.output != "table" && a.output != "json" {
		return usage(fmt.Errorf("-o %s: stdout can carry table or json", a.output))
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	a.logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}

// setting is the environment's value of a flag: TALLY_NAME.
func setting(name, fallback string) string {
	if v := os.Getenv("TALLY_" + name); v != "" {
		return v
	}
	return fallback
}

func defaultHome() string {
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "tally")
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return ".tally"
	}
	return filepath.Join(h, ".local", "share", "tally")
}

// print writes v as JSON, or calls table to write it for people.
func (a *app) print(v any, table func(io.Writer)) error {
	if a.output == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	table(a.stdout)
	return nil
}

// note tells the person at the terminal something; it never goes to stdout.
func (a *app) note(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	if a.output == "json" {
		a.object(map[string]string{"note": text})
		return
	}
	fmt.Fprintln(a.stderr, text)
}

// object writes v to stderr as JSON on a line of its own.
func (a *app) object(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(`{"note":"something that is not JSON"}`)
	}
	fmt.Fprintln(a.stderr, string(b))
}

// live shows a line that the next one is written over; "" removes it.
func (a *app) live(text string) {
	if a.console != nil {
		_ = a.console.show(text) // a terminal that is gone cannot be told
	}
}
