package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/testnet"
)

func main() {
	dir := flag.String("judges", "chain/oracletest/judges", "`directory` of the judges, installed by npm ci")
	program := flag.String("node", "", "the `program` tally-devnet; none: one is built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, *dir, *program)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracles: "+err.Error())
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// run has everything judged on a fresh chain and prints what came of it.
func run(ctx context.Context, judgesDir, program string) (failed bool, err error) {
	dir, err := os.MkdirTemp("", "oracles-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := testnet.StartNode(ctx, testnet.NodeConfig{
		Dir: dir, Magic: chaintest.Network().Magic, SlotLength: time.Second, Program: program,
		Funds: map[chain.Address]chain.Lovelace{chaintest.NewActor("faucet").Address: genesisADA},
	})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, p.Stop(context.WithoutCancel(ctx))) }()
	w, err := newWorld(ctx, p)
	if err != nil {
		return false, err
	}
	defer w.node.Close()
	judges, err := startJudges(ctx, judgesDir, w.params, w.clock)
	if err != nil {
		return false, err
	}
	w.jury = newJury(judges)
	started := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(w.jury.listen)
	g.Go(func() error {
		defer close(w.jury.waiting)
		return w.play(ctx)
	})
	err = errors.Join(g.Wait(), judges.stop())
	if err == nil {
		w.jury.complete()
	}
	w.jury.report(os.Stdout, time.Since(started))
	return len(w.jury.failures) > 0, err
}

// play has every scene played, one after the other: later ones spend what earlier ones made.
func (w *world) play(ctx context.Context) error {
	for _, s := range []struct {
		name string
		play func(context.Context) error
	}{
		{"funds", w.fund},
		{"transactions of others", w.foreign},
		{"published scripts", w.publish},
		{"payments", w.payments},
		{"script outputs", w.unlock},
		{"tokens", w.assets},
		{"disputes", w.contest},
		{"stakes", w.stakes},
		{"slices", w.slices},
		{"lots", w.lots},
		{"everything in blocks", w.settled},
		{"the chain once more", w.reread},
	} {
		fmt.Fprintf(os.Stderr, "oracles: %s\n", s.name)
		if err := s.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
