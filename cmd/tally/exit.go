package main

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2
	exitConfig      = 3
	exitNetwork     = 4 // the node, the network or the container engine cannot be reached
	exitWallet      = 5 // the wallet, or a counterparty's, declined to sign
	exitFunds       = 6
	exitRejected    = 7 // the ledger refused a transaction
	exitJobFailed   = 100
	exitNotFinished = 101
	exitNotFound    = 102
	exitCancelled   = 103
	exitRefunded    = 104
)

// failure is an error with what a person should do next and the exit code it ends with.
type failure struct {
	code int
	hint string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(err error) error {
	return &failure{exitUsage, "tally help shows the commands and their flags", err}
}

// fail wraps err with an exit code and the next step.
func fail(code int, err error, hint string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{code, fmt.Sprintf(hint, args...), err}
}

// report prints err, if any, and returns the exit status.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	f := classify(err)
	if a.output == "json" {
		a.object(map[string]any{"code": f.code, "message": f.Error(), "hint": f.hint})
		return f.code
	}
	fmt.Fprintln(a.stderr, "tally: "+f.Error())
	if f.hint != "" {
		fmt.Fprintln(a.stderr, "  → "+f.hint)
	}
	return f.code
}

// errInterrupted is a person's or the system's wish that this process end.
var errInterrupted = errors.New("interrupted")

// classify finds the exit code and the hint that belong to err.
func classify(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return &failure{f.code, f.hint, err}
	}
	if errors.Is(err, context.Canceled) {
		return &failure{exitCancelled, "nothing is lost: tally status shows what is under way", errInterrupted}
	}
	for _, k := range kinds() {
		if errors.Is(err, k.is) {
			return &failure{k.code, k.hint, err}
		}
	}
	return &failure{exitInternal, "run it again with -v to see what happened inside", err}
}

type kind struct {
	is   error
	code int
	hint string
}
