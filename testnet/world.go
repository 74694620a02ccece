package testnet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// loopback is where participants of a world listen, each on a port of its own.
const loopback = "/ip4/127.0.0.1/tcp/0"

// WorldConfig says what market to set up.
type WorldConfig struct {
	// Dir holds the node and every participant's data directory. Its path must be short: unix sockets lie in it.
	Dir        string
	Bin        string        // the program tally
	NodeBin    string        // the program tally-devnet; "": one built from this module's source
	SlotLength time.Duration // of the devnet; a block comes every slot
	Rates      []string      // NTX per shard-second, of one provider each
	Producers  int           // 1 or 2 nodes that forge; 0: one. Of two, providers have the second, everybody else the first
	// Contracts changes the parameters of the contracts; nil: they are the devnet's.
	Contracts func(*plutus.Params)
	Pace      Pace
}

// Pace is how long things may take on a network, in milliseconds; see Network.
type Pace struct {
	MarginMS, LockMS, PollMS int64
	Policy                   escrow.Policy
}

// DevnetPace is a pace for a chain with a block every 200 ms.
func DevnetPace() Pace {
	return Pace{
		MarginMS: 5000, LockMS: 20_000, PollMS: 500,
		Policy: escrow.Policy{DeclineLead: 3000, CommitLead: 10_000, Patience: 15_000, LeaveStep: 400, Meeting: 1000, Grace: 5000},
	}
}

// World is a whole market on this machine: a Cardano node, a DHT peer to start from, providers and one requester.
// Every participant is a process of its own with a data directory, keys and a passphrase of its own.
type World struct {
	cfg       WorldConfig
	NodeDir   string
	Process   *NodeProcess
	Node      *node.Node // the world's own connection: participants have theirs
	Faucet    *Faucet
	Network   Network // without a socket's owner: what participants get
	Contracts *plutus.Contracts
	Bootstrap *Participant
	Requester *Participant
	Providers []*Participant
}

// NewWorld makes the directory and everything that needs no process.
func NewWorld(cfg WorldConfig) (*World, error) {
	net := chain.Network{Magic: 42}
	f, err := NewFaucet(net)
	if err != nil {
		return nil, err
	}
	params := plutus.Devnet(f.NTX())
	if cfg.Contracts != nil {
		cfg.Contracts(&params)
	}
	c, err := plutus.New(net, params)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the world's directory: %w", err)
	}
	w := &World{cfg: cfg, NodeDir: filepath.Join(cfg.Dir, "node"), Faucet: f, Contracts: c}
	w.Network = Network{
		Name: "devnet", Magic: net.Magic, ID: net.ID, Contracts: c.Params, Confirmations: 1,
		MarginMS: cfg.Pace.MarginMS, LockMS: cfg.Pace.LockMS, PollMS: cfg.Pace.PollMS, Policy: cfg.Pace.Policy,
	}
	if w.Bootstrap, err = w.participant("bootstrap", "b"); err != nil {
		return nil, err
	}
	if w.Requester, err = w.participant("requester", "r"); err != nil {
		return nil, err
	}
	for i := range cfg.Rates {
		p, err := w.participant(fmt.Sprintf("provider-%d", i), fmt.Sprintf("p%d", i))
		if err != nil {
			return nil, err
		}
		w.Providers = append(w.Providers, p)
	}
	return w, nil
}

func (w *World) participant(name, dir string) (*Participant, error) {
	p := &Participant{Name: name, Home: filepath.Join(w.cfg.Dir, dir), Log: filepath.Join(w.cfg.Dir, name+".log"), bin: w.cfg.Bin}
	p.passphrase = rand.Text()
	if err := os.Mkdir(p.Home, 0o700); err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	return p, nil
}

// StartNode starts the chain.
func (w *World) StartNode(ctx context.Context) (err error) {
	w.Process, err = StartNode(ctx, NodeConfig{
		Dir: w.NodeDir, Magic: w.Network.Magic, SlotLength: w.cfg.SlotLength, Program: w.cfg.NodeBin, Producers: w.cfg.Producers,
		Funds: map[chain.Address]chain.Lovelace{w.Faucet.Address(): FaucetADA},
	})
	if err != nil {
		return err
	}
	w.Network.Socket = w.Process.Socket
	w.Node, err = node.Dial(ctx, node.Config{Socket: w.Process.Socket, Network: w.Network.Chain()})
	return err
}

// StartBootstrap starts the DHT peer that everybody knows.
func (w *World) StartBootstrap(ctx context.Context) error {
	if err := w.Network.Save(filepath.Join(w.Bootstrap.Home, "network.json")); err != nil {
		return err
	}
	if err := w.Bootstrap.start("testnet", "bootstrap", "--listen", loopback); err != nil {
		return err
	}
	var ready peerReady
	if err := w.Bootstrap.Process().Ready(ctx, &ready); err != nil {
		return err
	}
	w.Bootstrap.adopt(ready)
	for _, a := range ready.Addrs {
		w.Network.Bootstrap = append(w.Network.Bootstrap, withPeer(a, ready.Peer))
	}
	return nil
}

// Init makes the keys of requester and providers.
func (w *World) Init(ctx context.Context, images []string) error {
	file := filepath.Join(w.cfg.Dir, "network.json")
	if err := w.Network.Save(file); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	initialise := func(p *Participant, args ...string) {
		g.Go(func() error {
			var made peerReady
			err := p.Tally(ctx, &made, args...)
			p.adopt(made)
			return err
		})
	}
	initialise(w.Requester, "init", "--network", file)
	theirs := w.Network
	if n := len(w.Process.Producers); n > 1 {
		theirs.Socket = w.Process.Producers[1].Socket
		file = filepath.Join(w.cfg.Dir, "network-1.json")
		if err := theirs.Save(file); err != nil {
			return err
		}
	}
	for i, p := range w.Providers {
		args := []string{"provider", "init", "--network", file, "--rate", w.cfg.Rates[i], "--slots", "1", "--cpus", "2", "--memory-gib", "1"}
		for _, im := range images {
			args = append(args, "--image", im)
		}
		initialise(p, args...)
	}
	return g.Wait()
}

// Fund mints test NTX and gives every wallet money: bonds and prices in some coins, ADA for fees and collateral in
// others, so that one transaction need not wait for another's change.
func (w *World) Fund(ctx context.Context) error {
	ntx := w.Faucet.NTX()
	coin := func(ada chain.Lovelace, units uint64) chain.Value {
		return chain.Coins(ada*1_000_000).With(ntx, units*1_000_000)
	}
	gifts := []Gift{{To: w.Requester.Address, Values: []chain.Value{coin(100, 200), coin(100, 200), coin(40, 0), coin(40, 0), coin(20, 0)}}}
	for _, p := range w.Providers {
		gifts = append(gifts, Gift{To: p.Address, Values: []chain.Value{coin(20, 50), coin(20, 50), coin(30, 0), coin(30, 0), coin(10, 0)}})
	}
	return w.Faucet.Fund(ctx, w.Node, w.Contracts, gifts)
}

// Stake lets every provider put so much NTX at stake, in µNTX. None may be running.
func (w *World) Stake(ctx context.Context, untx uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range w.Providers {
		g.Go(func() error {
			var sent struct{}
			return p.Tally(ctx, &sent, "provider", "stake", market.FormatNTX(untx), "--yes")
		})
	}
	return g.Wait()
}

// StartProvider starts provider i, or starts it again, and returns when it has published its offer.
func (w *World) StartProvider(ctx context.Context, i int) error {
	p := w.Providers[i]
	listen := loopback
	if len(p.Addrs) > 0 {
		listen = p.Addrs[0] // where others know it
	}
	if err := p.start("provider", "run", "--listen", listen); err != nil {
		return err
	}
	var ready peerReady
	if err := p.Process().Ready(ctx, &ready); err != nil {
		return err
	}
	p.adopt(ready)
	return nil
}

// StartProviders starts all at once.
func (w *World) StartProviders(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range w.Providers {
		g.Go(func() error { return w.StartProvider(ctx, i) })
	}
	return g.Wait()
}

// Stop ends every process, the node last.
func (w *World) Stop(ctx context.Context) error {
	var errs []error
	for _, p := range append([]*Participant{w.Requester, w.Bootstrap}, w.Providers...) {
		errs = append(errs, p.stop())
	}
	if w.Node != nil {
		errs = append(errs, w.Node.Close())
	}
	if w.Process != nil {
		errs = append(errs, w.Process.Stop(ctx))
	}
	return errors.Join(errs...)
}

// RemoveContainers removes what the providers' engine still holds of jobs that were not settled when the world stopped.
func (w *World) RemoveContainers(ctx context.Context) (err error) {
	engine, err := container.New(container.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	for _, p := range w.Providers {
		left, e := engine.List(ctx, p.Peer.String())
		for _, h := range left {
			e = errors.Join(e, engine.Remove(ctx, h))
		}
		err = errors.Join(err, e)
	}
	return err
}

// Participants are all that hold money.
func (w *World) Participants() []*Participant {
	return append([]*Participant{w.Requester}, w.Providers...)
}
