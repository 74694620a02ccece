package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tallycompute/tally/testnet/devnet/internal/control"
	"github.com/tallycompute/tally/testnet/devnet/internal/node"
	"github.com/tallycompute/tally/testnet/devnet/internal/rules"
	"github.com/tallycompute/tally/testnet/devnet/internal/wire"
)

const (
	controlFile   = "control" // the socket of a directory that takes commands
	tipCommand    = "tip"
	leadCommand   = "lead"
	followCommand = "follow"
)

// lag is how many slots the ledger's present may be behind the clock's: the horizon told must hold there too.
const lag = 5

// assignment is what one node of a chain is to do.
type assignment struct {
	Dir         string // its own
	Settings    node.Settings
	Tip         uint64
	Pool        int
	Follow      string
	StartWithin time.Duration
	Level       slog.Level
}

// served is a running node with its gate.
type served struct {
	log      *slog.Logger
	settings node.Settings
	gate     *wire.Listener
	room     atomic.Int64 // bytes of transactions that may wait
	faults   atomic.Pointer[node.Faults]
}

// serve runs one node and takes commands for it until ctx ends.
func serve(ctx context.Context, a assignment, peers net.Listener, log *slog.Logger, ready func(node.Producer) error) error {
	socket, err := node.Socket(a.Dir)
	if err != nil {
		return err
	}
	s := &served{log: log, settings: a.Settings}
	s.room.Store(node.MempoolCapacity)
	l, err := node.Listen(filepath.Join(a.Dir, controlFile))
	if err != nil {
		return err
	}
	rules.Install(a.Settings.Horizon)
	g := newGroup(ctx)
	g.run(func(ctx context.Context) error { return control.Serve(ctx, l, s.commands(), theirs, log) })
	g.run(func(ctx context.Context) error {
		return node.Run(ctx, node.Config{
			Dir: a.Dir, Settings: a.Settings, Tip: a.Tip, Pool: a.Pool, Follow: a.Follow, Peers: peers,
			StartWithin: a.StartWithin, Log: log,
			Gate:  s.between,
			Began: s.faults.Store,
			Ready: func() error {
				return ready(node.Producer{Socket: socket, Control: l.Addr().String(), PID: os.Getpid()})
			},
		})
	})
	return g.wait()
}

// between is what stands between the socket and the node.
func (s *served) between(l net.Listener) net.Listener {
	clock := s.settings.Clock()
	admit := func(era uint16, tx []byte) wire.Refusal {
		r := rules.Admit(era, tx, clock.Slot(time.Now()))
		if f := s.faults.Load(); r == nil && f != nil {
			r = rules.Room(tx, s.room.Load(), f.Pending)
		}
		if r != nil {
			s.log.Warn("refused at the socket", "reason", r)
			return r
		}
		return nil
	}
	horizon := func() wire.Bound {
		now := clock.Slot(time.Now())
		end := s.settings.Horizon(now - min(now, lag))
		return wire.Bound{Slot: end, Epoch: clock.Epoch(end), Time: clock.Since(end)}
	}
	s.gate = wire.Gate(l, admit, horizon)
	return s.gate
}

// theirs says which errors of commands are the asker's.
func theirs(err error) bool { return errors.Is(err, node.ErrFault) }

// commands are the faults of one node.
func (s *served) commands() map[string]control.Command {
	fault := func(params []string, do func(context.Context, *node.Faults, url.Values) (any, error)) control.Command {
		return control.Command{Params: params, Do: func(ctx context.Context, q url.Values) (any, error) {
			f := s.faults.Load()
			if f == nil {
				return nil, fmt.Errorf("%w: the node has not begun to forge", node.ErrFault)
			}
			return do(ctx, f, q)
		}}
	}
	timed := func(key string, set func(*node.Faults, context.Context, time.Duration) error) control.Command {
		return fault([]string{key}, func(ctx context.Context, f *node.Faults, q url.Values) (any, error) {
			d, err := control.Duration(q, key)
			if err != nil {
				return nil, err
			}
			return nil, set(f, ctx, d)
		})
	}
	return map[string]control.Command{
		"stall":    timed("for", (*node.Faults).Stall),
		"slow":     timed("every", (*node.Faults).Slow),
		tipCommand: fault(nil, func(_ context.Context, f *node.Faults, _ url.Values) (any, error) { return f.Tip(), nil }),
		leadCommand: fault(nil, func(_ context.Context, f *node.Faults, _ url.Values) (any, error) {
			f.Lead()
			return nil, nil
		}),
		followCommand: fault([]string{"address"}, func(_ context.Context, f *node.Faults, q url.Values) (any, error) {
			return nil, f.Follow(q.Get("address"))
		}),
		"rollback": fault([]string{"blocks"}, func(ctx context.Context, f *node.Faults, q url.Values) (any, error) {
			n, err := number(q, "blocks")
			if err != nil {
				return nil, err
			}
			return f.Rollback(ctx, n)
		}),
		"mempool": fault([]string{"capacity"}, func(_ context.Context, _ *node.Faults, q url.Values) (any, error) {
			n, err := number(q, "capacity")
			if err != nil {
				return nil, err
			}
			s.room.Store(int64(min(n, node.MempoolCapacity)))
			return nil, nil
		}),
		"enact": fault(node.Enactable(), func(ctx context.Context, f *node.Faults, q url.Values) (any, error) {
			values := map[string]string{}
			for name := range q {
				values[name] = q.Get(name)
			}
			epoch, err := f.Enact(ctx, values)
			return map[string]uint64{"epoch": epoch}, err
		}),
		"drop": fault(nil, func(context.Context, *node.Faults, url.Values) (any, error) {
			return map[string]int{"dropped": s.gate.Drop()}, nil
		}),
	}
}

func number(q url.Values, key string) (uint64, error) {
	n, err := strconv.ParseUint(q.Get(key), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s=%q is no number", control.ErrRequest, key, q.Get(key))
	}
	return n, nil
}
