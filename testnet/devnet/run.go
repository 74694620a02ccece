package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tallycompute/tally/testnet/devnet/internal/node"
)

// ready is the line that says that the chain goes on and its nodes answer.
type ready struct {
	Socket       string `json:"socket"` // the first producer's
	Magic        uint32 `json:"magic"`
	SlotLengthMS uint64 `json:"slot_length_ms"`
	SystemStart  string `json:"system_start"` // RFC 3339
	PID          int    `json:"pid"`
	Control      string `json:"control"` // of the link between two producers; of the one there is

	Producers []node.Producer `json:"producers"`
}

func readyWith(s node.Settings, control string, producers ...node.Producer) ready {
	return ready{producers[0].Socket, s.Magic, s.SlotLengthMS, s.SystemStart.Format(time.RFC3339), os.Getpid(), control, producers}
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
	log, file, out, err := logTo(dir, o.level)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var guard io.Reader
	if o.stdinGuard {
		guard = os.Stdin
	}
	ctx, stop := untilStopped(guard)
	defer stop()
	nodes := []string{dir}
	if settings.Producers > 1 {
		nodes = []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	}
	for _, n := range nodes {
		if _, err := node.Socket(n); err != nil {
			return err
		}
	}
	settings, tips, err := node.Prepare(dir, nodes, settings, log)
	if err != nil {
		return err
	}
	announce := func(r ready) error { return json.NewEncoder(out).Encode(r) }
	a := assignment{Dir: dir, Settings: settings, Tip: tips[0].Slot, StartWithin: o.startWithin, Level: o.level}
	if len(nodes) > 1 {
		return newPair(a, nodes, tips, log).run(ctx, announce)
	}
	err = serve(ctx, a, nil, log, func(p node.Producer) error { return announce(readyWith(settings, p.Control, p)) })
	if errors.Is(err, node.ErrStalled) {
		err = fmt.Errorf("%w: %s says why", err, file.Name())
	}
	return err
}
