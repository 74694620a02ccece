package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for anything
	c := newConsole(os.Stderr)
	a := &app{stdout: os.Stdout, stderr: c, console: c}
	err := newRoot(a).ExecuteContext(ctx)
	stop()
	a.live("")
	os.Exit(a.report(err))
}
