package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/testnet"
)

func demoCommand(a *app) *cobra.Command {
	cfg := testnet.DemoConfig{Progress: a.stderr, Table: a.stdout}
	c := &cobra.Command{
		Use: "demo", Short: "The whole market on this machine: three jobs, split, run and paid in test NTX", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), cfg) },
	}
	f := c.Flags()
	f.StringVar(&cfg.Out, "out", "demo-out", "directory for what the demo leaves; one of an earlier demo is replaced")
	f.StringVar(&cfg.Examples, "examples", "", "directory of the three jobs (default examples, here or above)")
	c.AddCommand(&cobra.Command{
		Use: "verify [DIR]", Short: "Derive every payment again from the chain alone and compare the demo's claims", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "demo-out"
			if len(args) == 1 {
				dir = args[0]
			}
			return fail(exitJobFailed, testnet.Verify(cmd.Context(), dir, a.stderr), "%s/summary.json claims what the chain does not say", dir)
		},
	})
	c.AddCommand(benchCommand(a))
	return c
}

func benchCommand(a *app) *cobra.Command {
	cfg := testnet.BenchConfig{Progress: a.stderr, Table: a.stdout}
	c := &cobra.Command{
		Use: "bench", Short: "Time the whole loop against plain torch over Gloo in the same containers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch err := testnet.Bench(cmd.Context(), cfg); {
			case err == nil:
				return nil
			case errors.Is(err, context.Canceled):
				return fail(exitCancelled, err, "make bench-loop starts over; what was built is kept")
			default:
				return fmt.Errorf("nothing was measured: %w", err)
			}
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Out, "out", filepath.Join("bench", "loop.json"), "file for the results, JSON")
	f.StringVar(&cfg.Examples, "examples", "", "directory of the three jobs (default examples, here or above)")
	return c
}

func (a *app) demo(ctx context.Context, cfg testnet.DemoConfig) error {
	err := testnet.Demo(ctx, cfg)
	if err == nil {
		a.note("It is all in %s; tally demo verify %s derives every payment from the chain alone.", cfg.Out, cfg.Out)
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fail(exitCancelled, err, "make demo starts over; what was built is kept")
	}
	return fmt.Errorf("the demo did not succeed: %w", err)
}
