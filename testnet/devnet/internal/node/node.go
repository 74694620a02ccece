package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/blinklabs-io/dingo"
	"github.com/blinklabs-io/dingo/topology"
)

const (
	dbDir      = "db"
	socketFile = "node.socket"
	// networkName is dingo's name for the kind of network, recorded in the database.
	networkName = "devnet"
	// maxSocketPath is what the kernel's sockaddr_un holds, less its closing zero byte.
	maxSocketPath = 107
	// stopWithin bounds the node's orderly end.
	stopWithin = 10 * time.Second
)

// Ready describes a node that has forged a block and answers on its socket.
type Ready struct {
	Socket       string `json:"socket"`
	Magic        uint32 `json:"magic"`
	SlotLengthMS uint64 `json:"slot_length_ms"`
	SystemStart  string `json:"system_start"` // RFC 3339
	PID          int    `json:"pid"`
}

// Config says what to run.
type Config struct {
	Dir         string // of the chain; the caller has locked it
	Settings    Settings
	StartWithin time.Duration // how long the first block may take; 0: see [Settings.StartBound]
	Log         *slog.Logger
	Gate        func(net.Listener, Settings) net.Listener // stands between the socket and the node
	Ready       func(Ready) error                         // called once
}

// Run runs the node until ctx ends. It fails with [ErrStalled] when no block is forged in time. The hardened rules must
// have been installed before.
func Run(ctx context.Context, c Config) error {
	dir, s, log := c.Dir, c.Settings, c.Log
	within := c.StartWithin
	if within == 0 {
		within = s.StartBound()
	}
	socket := filepath.Join(dir, socketFile)
	if len(socket) > maxSocketPath {
		return fmt.Errorf("%w: the socket's path %s is longer than %d bytes", ErrSettings, socket, maxSocketPath)
	}
	tip, err := mend(dir, log)
	if err != nil {
		return err
	}
	s = s.resume(tip, time.Now())
	nc, err := s.genesis()
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	s.ShelleyGenesisHash = nc.ShelleyGenesisHash
	if err := s.write(dir); err != nil {
		return err
	}
	k, err := writeKeys(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	n, err := dingo.New(dingo.NewConfig(
		dingo.WithLogger(log),
		dingo.WithDatabasePath(filepath.Join(dir, dbDir)),
		dingo.WithNetwork(networkName),
		dingo.WithNetworkMagic(s.Magic),
		dingo.WithCardanoNodeConfig(nc),
		dingo.WithListeners(dingo.ListenerConfig{Listener: c.Gate(l, s), ListenNetwork: "unix", ListenAddress: socket, UseNtC: true}),
		dingo.WithBindAddr("127.0.0.1"),
		dingo.WithMidnightConfig(dingo.MidnightConfig{}),
		dingo.WithTopologyConfig(&topology.TopologyConfig{UseLedgerAfterSlot: -1}), // no peers
		dingo.WithStorageMode(dingo.StorageModeCore),
		dingo.WithBlockProducer(true),
		dingo.WithShelleyVRFKey(k.vrf),
		dingo.WithShelleyKESKey(k.kes),
		dingo.WithShelleyOperationalCertificate(k.cert),
		dingo.WithMempoolCapacity(8<<20),
		dingo.WithValidateForgedBlock(true),
		dingo.WithShutdownTimeout(stopWithin),
		dingo.WithReconcileInterval(time.Second),
	))
	if err != nil {
		return errors.Join(fmt.Errorf("make the node: %w", err), l.Close())
	}
	log.Info("starting", "system_start", s.SystemStart, "tip_slot", tip)
	return supervise(ctx, n, func(ctx context.Context) error {
		if err := awaitBlock(ctx, socket, s.Magic, tip, within); err != nil {
			return err
		}
		return c.Ready(Ready{socket, s.Magic, s.SlotLengthMS, s.SystemStart.Format(time.RFC3339), os.Getpid()})
	})
}

// supervise runs the node and, beside it, up to its return, the announcement; it stops the node when ctx ends or the
// announcement fails, and waits for both.
func supervise(ctx context.Context, n *dingo.Node, announce func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nodeCtx, endNode := context.WithCancel(context.WithoutCancel(ctx)) // Stop closes the node in order; then its context ends
	defer endNode()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(nodeCtx) }()
	announced := make(chan error, 1)
	go func() {
		err := announce(ctx)
		if err != nil {
			cancel()
		}
		announced <- err
	}()
	select {
	case err := <-ended: // nobody asked it to
		cancel()
		<-announced
		return fmt.Errorf("the node ended by itself: %w", errors.Join(err, n.Stop()))
	case <-ctx.Done():
	}
	err := n.Stop()
	endNode()
	select {
	case e := <-ended:
		if !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	case <-time.After(stopWithin): // it ends with the process
		err = errors.Join(err, errors.New("the node does not stop"))
	}
	if e := <-announced; !errors.Is(e, context.Canceled) {
		err = errors.Join(e, err)
	}
	return err
}
