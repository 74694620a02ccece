// Command tally-devnet runs a real Cardano node that forges its own chain, for tests and demonstrations: one producer,
// one unix socket speaking node-to-client, mainnet's parameters, and ledger rules as strict as cardano-node's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tallycompute/tally/testnet/devnet/internal/node"
	"github.com/tallycompute/tally/testnet/devnet/internal/rules"
	"github.com/tallycompute/tally/testnet/devnet/internal/wire"
)

const usage = `usage: tally-devnet run --dir DIR [flags]

Runs a single-producer Cardano node on DIR. When it is ready, one line of JSON goes to standard output.
Run "tally-devnet run --help" for the flags.`

func main() {
	err := command(os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "tally-devnet: "+err.Error())
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: tally-devnet run --dir DIR")
	}
	switch args[0] {
	case "run":
		o, err := parse(args[1:])
		if err != nil {
			return err
		}
		return run(o)
	case "help", "-h", "--help":
		_, err := fmt.Println(usage)
		return err
	}
	return fmt.Errorf("unknown command %q: the only one is run", args[0])
}

func run(o options) (err error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return fmt.Errorf("find the directory: %w", err)
	}
	lock, err := node.Lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	settings, made, err := node.Open(dir, o.wanted, time.Now())
	if err != nil {
		return err
	}
	if made && len(settings.Funds) == 0 {
		return fmt.Errorf("%w: a new chain needs funds, say --fund or --funds-file", node.ErrSettings)
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { err = errors.Join(err, logFile.Close()) }()
	out := os.Stdout
	os.Stdout = logFile // whatever a library prints belongs in the log: standard output carries one line
	log := slog.New(slog.NewTextHandler(logFile, &slog.HandlerOptions{Level: o.level}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.stdinGuard {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		// A read of standard input cannot be interrupted: this goroutine ends with the parent or with the process.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	rules.Install(settings.Horizon)
	err = node.Run(ctx, node.Config{
		Dir: dir, Settings: settings, StartWithin: o.startWithin, Log: log, Gate: gate(log),
		Ready: func(r node.Ready) error { return json.NewEncoder(out).Encode(r) },
	})
	if errors.Is(err, node.ErrStalled) {
		err = fmt.Errorf("%w: %s says why", err, logFile.Name())
	}
	return err
}

// lag is how many slots the ledger's present may be behind the clock's: the horizon told must hold there too.
const lag = 5

// gate is what stands between the socket and the node.
func gate(log *slog.Logger) func(net.Listener, node.Settings) net.Listener {
	return func(l net.Listener, s node.Settings) net.Listener {
		clock := s.Clock()
		admit := func(era uint16, tx []byte) wire.Refusal {
			if r := rules.Admit(era, tx, clock.Slot(time.Now())); r != nil {
				log.Warn("refused at the socket", "reason", r)
				return r
			}
			return nil
		}
		horizon := func() wire.Bound {
			now := clock.Slot(time.Now())
			end := s.Horizon(now - min(now, lag))
			return wire.Bound{Slot: end, Epoch: clock.Epoch(end), Time: clock.Since(end)}
		}
		return wire.Gate(l, admit, horizon)
	}
}
