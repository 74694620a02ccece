package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tallycompute/tally/testnet/devnet/internal/node"
)

const (
	// produceCommand runs one node of two: its assignment comes on standard input, whose end ends it, and the listener
	// for the other node as file 3.
	produceCommand = "produce"
	peersFile      = 3
	// childWithin bounds a child's end once it has been asked to.
	childWithin = 20 * time.Second
)

// startChild starts one producer and returns when it is ready; wait waits for its end, which comes with that of ctx. The
// listener becomes the child's.
func startChild(ctx context.Context, a assignment, peers *net.TCPListener) (p node.Producer, wait func(context.Context) error, err error) {
	name := filepath.Base(a.Dir)
	fail := func(err error) (node.Producer, func(context.Context) error, error) {
		return p, nil, fmt.Errorf("start producer %s: %w", name, err)
	}
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return fail(err)
	}
	f, err := peers.File()
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	defer peers.Close()
	program, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	cmd := exec.Command(program, produceCommand)
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is the parent's to pass on
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return fail(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = in.Close()
		time.AfterFunc(childWithin, func() { _ = cmd.Process.Kill() })
	})
	err = json.NewEncoder(in).Encode(a)
	if err == nil {
		err = json.NewDecoder(out).Decode(&p)
	}
	if err != nil {
		_ = in.Close()
		_ = cmd.Wait()
		stop()
		return fail(fmt.Errorf("%w: %s (its log is %s)", err, bytes.TrimSpace(complaint.Bytes()), filepath.Join(a.Dir, "node.log")))
	}
	return p, func(ctx context.Context) error {
		_, _ = io.Copy(io.Discard, out)
		err := cmd.Wait()
		stop()
		switch {
		case err != nil:
			return fmt.Errorf("producer %s: %w: %s", name, err, bytes.TrimSpace(complaint.Bytes()))
		case ctx.Err() == nil:
			return fmt.Errorf("producer %s ended by itself", name)
		}
		return context.Cause(ctx)
	}, nil
}

// produce is the child.
func produce() (err error) {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the assignment: %w", err)
	}
	var a assignment
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("read the assignment: %w", err)
	}
	peers, err := net.FileListener(os.NewFile(peersFile, "peers"))
	if err != nil {
		return fmt.Errorf("take over the listener: %w", err)
	}
	log, file, out, err := logTo(a.Dir, a.Level)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	ctx, stop := untilStopped(in)
	defer stop()
	return serve(ctx, a, peers, log, func(p node.Producer) error { return json.NewEncoder(out).Encode(p) })
}
