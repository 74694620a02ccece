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
)

const (
	dbDir      = "db"
	socketFile = "node.socket"
	// networkName is dingo's name for the kind of network, recorded in the database.
	networkName = "devnet"
	// maxSocketPath is what the kernel's sockaddr_un holds, less its closing zero byte.
	maxSocketPath = 107
	loopback      = "127.0.0.1"
	// MempoolCapacity is how many bytes of transactions may wait for blocks.
	MempoolCapacity = 8 << 20
	// stopWithin bounds the node's orderly end.
	stopWithin = 10 * time.Second
)

// Producer describes a node that has a block of this run and answers on its socket.
type Producer struct {
	Socket  string `json:"socket"`  // node-to-client
	Control string `json:"control"` // of its faults
	PID     int    `json:"pid"`
}

// Config says what to run.
type Config struct {
	Dir         string        // of the node: database, keys, socket; of it alone
	Settings    Settings      // as Prepare returned them
	Tip         uint64        // slot of the chain's last block
	Pool        int           // which producer it is, from 0
	Follow      string        // host:port of a node to follow instead of forging, until told otherwise; "": none
	Peers       net.Listener  // where the other producer connects; nil: there is none
	StartWithin time.Duration // how long the first block may take; 0: see [Settings.StartBound]
	Log         *slog.Logger
	Gate        func(net.Listener) net.Listener // stands between the socket and the node
	// Began is told when the node's faults can be chosen, before Ready.
	Began func(*Faults)
	Ready func() error // called once
}

// Prepare makes the databases of a chain's nodes ones that they can go on from, and returns the settings to run with, which
// it records in dir, and the last block of each.
func Prepare(dir string, nodes []string, s Settings, log *slog.Logger) (_ Settings, tips []Tip, err error) {
	var last uint64
	for _, n := range nodes {
		tip, err := mend(n, log)
		if err != nil {
			return s, nil, err
		}
		tips = append(tips, tip)
		last = max(last, tip.Slot)
	}
	s = s.resume(last, time.Now())
	nc, err := s.genesis()
	if err != nil {
		return s, nil, fmt.Errorf("genesis: %w", err)
	}
	s.ShelleyGenesisHash = nc.ShelleyGenesisHash
	return s, tips, s.write(dir)
}

// Socket is where the node on dir listens.
func Socket(dir string) (string, error) {
	socket := filepath.Join(dir, socketFile)
	if len(socket) > maxSocketPath {
		return "", fmt.Errorf("%w: the socket's path %s is longer than %d bytes", ErrSettings, socket, maxSocketPath)
	}
	return socket, nil
}

// Listen opens a unix socket in place of an old one.
func Listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Run runs the node until ctx ends. It fails with [ErrStalled] when no block comes in time. The hardened rules must have
// been installed before.
func Run(ctx context.Context, c Config) error {
	s, log := c.Settings, c.Log
	within := c.StartWithin
	if within == 0 {
		within = s.StartBound()
	}
	socket, err := Socket(c.Dir)
	if err != nil {
		return err
	}
	nc, err := s.genesis()
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	k, err := writeKeys(c.Dir, c.Pool)
	if err != nil {
		return err
	}
	l, err := Listen(socket)
	if err != nil {
		return err
	}
	listeners := []dingo.ListenerConfig{{Listener: c.Gate(l), ListenNetwork: "unix", ListenAddress: socket, UseNtC: true}}
	if c.Peers != nil {
		listeners = append(listeners, dingo.ListenerConfig{Listener: c.Peers, ListenNetwork: "tcp", ListenAddress: c.Peers.Addr().String()})
	}
	n, err := dingo.New(dingo.NewConfig(
		dingo.WithLogger(log),
		dingo.WithDatabasePath(filepath.Join(c.Dir, dbDir)),
		dingo.WithNetwork(networkName),
		dingo.WithNetworkMagic(s.Magic),
		dingo.WithCardanoNodeConfig(nc),
		dingo.WithListeners(listeners...),
		dingo.WithBindAddr(loopback),
		dingo.WithMidnightConfig(dingo.MidnightConfig{}),
		dingo.WithTopologyConfig(alone()),
		dingo.WithStorageMode(dingo.StorageModeCore),
		dingo.WithBlockProducer(true),
		dingo.WithShelleyVRFKey(filepath.Join(k, vrfFile)),
		dingo.WithShelleyKESKey(filepath.Join(k, kesFile)),
		dingo.WithShelleyOperationalCertificate(filepath.Join(k, certFile)),
		dingo.WithMempoolCapacity(2*MempoolCapacity), // the gate keeps to half of it: dingo's own would drop the oldest
		dingo.WithValidateForgedBlock(true),
		dingo.WithShutdownTimeout(stopWithin),
		dingo.WithReconcileInterval(time.Second),
	))
	if err != nil {
		return errors.Join(fmt.Errorf("make the node: %w", err), l.Close())
	}
	log.Info("starting", "system_start", s.SystemStart, "tip_slot", c.Tip)
	t := &tap{shut: c.Follow != ""}
	return supervise(ctx, n, func(ctx context.Context) error {
		faults, err := takeOver(ctx, n, s, t)
		if err != nil {
			return fmt.Errorf("take over the forger: %w", err)
		}
		if c.Follow != "" {
			if err := faults.Follow(c.Follow); err != nil {
				return err
			}
		}
		c.Began(faults)
		if err := awaitBlock(ctx, socket, s.Magic, c.Tip, within); err != nil {
			return err
		}
		return c.Ready()
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
