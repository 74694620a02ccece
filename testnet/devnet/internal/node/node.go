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
	// maxSocketPath is what the kernel's sockaddr_un holds, less its closing zero byte.
	maxSocketPath = 107
)

// Ready describes a node that has forged a block and answers on its socket.
type Ready struct {
	Socket       string `json:"socket"`
	Magic        uint32 `json:"magic"`
	SlotLengthMS uint64 `json:"slot_length_ms"`
	SystemStart  string `json:"system_start"` // RFC 3339
	PID          int    `json:"pid"`
}

// Run runs the node on dir, which the caller has locked, until ctx ends, and calls ready once. The hardened rules must
// have been installed before. gate stands between the socket and the node.
func Run(ctx context.Context, dir string, s Settings, log *slog.Logger, gate func(net.Listener, Settings) net.Listener, ready func(Ready) error) error {
	socket := filepath.Join(dir, socketFile)
	if len(socket) > maxSocketPath {
		return fmt.Errorf("%w: the socket's path %s is longer than %d bytes", ErrSettings, socket, maxSocketPath)
	}
	tip, err := storedTip(dir)
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
		dingo.WithNetwork("devnet"),
		dingo.WithNetworkMagic(s.Magic),
		dingo.WithCardanoNodeConfig(nc),
		dingo.WithListeners(dingo.ListenerConfig{Listener: gate(l, s), ListenNetwork: "unix", ListenAddress: socket, UseNtC: true}),
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
		dingo.WithShutdownTimeout(10*time.Second),
		dingo.WithReconcileInterval(time.Second),
	))
	if err != nil {
		return errors.Join(fmt.Errorf("make the node: %w", err), l.Close())
	}
	log.Info("starting", "system_start", s.SystemStart, "tip_slot", tip)
	return supervise(ctx, n, func(ctx context.Context) error {
		if err := awaitBlock(ctx, socket, s.Magic, tip); err != nil {
			return err
		}
		return ready(Ready{socket, s.Magic, s.SlotLengthMS, s.SystemStart.Format(time.RFC3339), os.Getpid()})
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
	if e := <-ended; !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	if e := <-announced; !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	return err
}
