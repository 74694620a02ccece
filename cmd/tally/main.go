package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { program(&app{}) }

// program runs the command line and ends the process.
func program(a *app) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for anything
	c := newConsole(os.Stderr)
	a.stdout, a.stderr, a.console = os.Stdout, c, c
	err := newRoot(a).ExecuteContext(ctx)
	stop()
	a.live("")
	os.Exit(a.report(err))
}
