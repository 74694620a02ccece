package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// typed waits for what a person types, or for their Ctrl-C: reading from a terminal cannot be broken off. The reading
// goes on until the process ends, which is soon then.
func typed(read func() (string, error)) (string, error) {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupt)
	type line struct {
		text string
		err  error
	}
	done := make(chan line, 1)
	go func() {
		text, err := read()
		done <- line{text, err}
	}()
	select {
	case l := <-done:
		return l.text, l.err
	case <-interrupt:
		return "", context.Canceled
	}
}
