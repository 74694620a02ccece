package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// agrees asks a question; only y or yes is one. Whoever is not there says no.
func (a *app) agrees(question string) (bool, error) {
	fmt.Fprint(a.stderr, question+" [y/N] ")
	line, err := typed(func() (string, error) { return bufio.NewReader(os.Stdin).ReadString('\n') })
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		a.note("")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	l := strings.ToLower(strings.TrimSpace(line))
	return l == "y" || l == "yes", nil
}

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
