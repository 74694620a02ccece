// Command tally-devnet runs a real Cardano node that forges its own chain, for tests and demonstrations: one producer, or
// two joined by a link that can be cut, unix sockets speaking node-to-client, mainnet's parameters unless told otherwise,
// ledger rules as strict as cardano-node's, and faults on demand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `usage: tally-devnet run --dir DIR [flags]

Runs a Cardano chain of one or two producers on DIR. When it is ready, one line of JSON goes to standard output.
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
	case produceCommand:
		return produce()
	case "help", "-h", "--help":
		_, err := fmt.Println(usage)
		return err
	}
	return fmt.Errorf("unknown command %q: the only one is run", args[0])
}

// untilStopped is a context that ends with a signal, and, with guard, when standard input does.
func untilStopped(guard io.Reader) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if guard == nil {
		return ctx, stop
	}
	ctx, cancel := context.WithCancel(ctx)
	// A read of standard input cannot be interrupted: this goroutine ends with the parent or with the process.
	go func() {
		_, _ = io.Copy(io.Discard, guard)
		cancel()
	}()
	return ctx, func() { cancel(); stop() }
}

// logTo opens the log of a directory. What a library prints goes there too: standard output, which is returned, carries
// one line.
func logTo(dir string, level slog.Level) (log *slog.Logger, file, out *os.File, err error) {
	file, err = os.OpenFile(filepath.Join(dir, "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open the log: %w", err)
	}
	out, os.Stdout = os.Stdout, file
	return slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: level})), file, out, nil
}
