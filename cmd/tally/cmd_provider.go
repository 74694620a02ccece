package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // the database of the provider's own state

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/collective"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/python"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/provider"
)

// shop is what `provider init` writes and `provider run` sells: HOME/provider.json.
type shop struct {
	Rate      string   `json:"rate_ntx"` // per shard-second
	Slots     uint32   `json:"slots"`
	CPUs      float64  `json:"cpus"`
	MemoryGiB float64  `json:"memory_gib"`
	DiskGiB   float64  `json:"disk_gib"`
	Images    []string `json:"images"`
	Region    string   `json:"region"`
	Runtime   string   `json:"oci_runtime,omitempty"` // such as runsc; empty: the engine's default

	Attesters  []peer.ID       `json:"attesters,omitempty"` // whose verdicts it accepts; none: it takes no jobs with disputes
	Payees     []chain.Address `json:"payees,omitempty"`    // who may get the cost of a dispute
	LeastShare float64         `json:"least_share_percent"` // of the price, its own if no verdict comes

	MaxRate float64 `json:"max_rate_mbit,omitempty"` // a second, that collectives may send, and take; 0: any

	MaxStake  string `json:"max_stake_ntx,omitempty"`  // that one job may put at risk of this provider's stake; empty: any
	MaxUnpaid string `json:"max_unpaid_ntx,omitempty"` // work that is quoted, under way or not paid yet; empty: no bound
}

func providerCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "provider", Short: "Sell this machine"}
	s := shop{}
	var attesters, payees []string
	initialise := &cobra.Command{
		Use: "init", Short: "Make keys and say what to sell", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := s.trust(attesters, payees); err != nil {
				return usage(err)
			}
			return a.providerInit(s)
		},
	}
	f := initialise.Flags()
	f.StringVar(&s.Rate, "rate", "0.001", "price in NTX of a shard-second")
	f.Uint32Var(&s.Slots, "slots", 1, "shards at a time")
	f.Float64Var(&s.CPUs, "cpus", float64(runtime.NumCPU()), "cores for sale")
	f.Float64Var(&s.MemoryGiB, "memory-gib", 2, "memory for sale")
	f.Float64Var(&s.DiskGiB, "disk-gib", 4, "disk for sale")
	f.StringSliceVar(&s.Images, "image", []string{"tally/python:bookworm", "tally/torch:bookworm"}, "images on this machine's engine to run jobs in")
	f.StringVar(&s.Region, "region", "", "where the machine is, such as eu")
	f.StringSliceVar(&attesters, "attester", nil, "peers whose verdicts on disputes are accepted; none: no jobs with disputes are taken")
	f.StringSliceVar(&payees, "payee", nil, "addresses that may get the cost of a dispute")
	f.Float64Var(&s.LeastShare, "least-share-percent", 50, "of the price: what this provider gets at least if no verdict comes")
	f.Float64Var(&s.MaxRate, "max-rate", 0, "Mbit/s that the sums of all jobs together may send, and take; 0: any")
	f.StringVar(&s.MaxUnpaid, "max-unpaid", "", "NTX: no more is quoted than leaves so much work unpaid at a time")
	f.StringVar(&s.MaxStake, "max-stake", "", "NTX: no more of this provider's stake is put at risk in one job")
	f.StringVar(&s.Runtime, "oci-runtime", "", "OCI runtime for containers, such as runsc")
	listen := ""
	run := &cobra.Command{
		Use: "run", Short: "Offer, witness, run and be paid, until interrupted", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.providerRun(cmd.Context(), listen) },
	}
	run.Flags().StringVar(&listen, "listen", p2p.DefaultListen, "multiaddresses to listen on, separated by commas")
	c.AddCommand(initialise, run, providerCloseCommand(a), &cobra.Command{
		Use: "status", Short: "What this provider did and is doing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.providerStatus(cmd.Context()) },
	})
	c.AddCommand(providerStakeCommands(a)...)
	return c
}

// setUp makes a participant: its directory, network, wallet and peer key; what is there already stays.
func (a *app) setUp() (map[string]any, error) {
	n, err := a.network()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return nil, fail(exitConfig, err, "choose another --home")
	}
	if a.networkFile != "" {
		if err := n.Save(a.path("network.json")); err != nil {
			return nil, fail(exitConfig, err, "choose another --home")
		}
	}
	words, err := a.makeWallet()
	if err != nil {
		return nil, err
	}
	w, err := a.openWallet(n)
	if err != nil {
		return nil, err
	}
	key, err := p2p.LoadOrCreateKey(a.path("peer.key"))
	if err != nil {
		return nil, fail(exitConfig, err, "check %s", a.path("peer.key"))
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	v := map[string]any{"peer": id, "address": w.Address()}
	if words != "" {
		v["words"] = words
		a.note("A new wallet. These words restore it, keep them: %s", words)
	}
	return v, nil
}

func (a *app) providerInit(s shop) error {
	if _, err := s.config(); err != nil {
		return usage(err)
	}
	v, err := a.setUp()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.path("provider.json"), append(b, '\n'), 0o600); err != nil {
		return fail(exitConfig, err, "choose another --home")
	}
	return a.print(v, func(w io.Writer) {
		fmt.Fprintf(w, "peer     %s\naddress  %s\n", v["peer"], v["address"])
		a.note("Send the address some ADA for fees and NTX for bonds; then: tally provider run")
	})
}

// trust takes over who may decide disputes.
func (s *shop) trust(attesters, payees []string) error {
	for _, name := range attesters {
		id, err := peer.Decode(name[strings.LastIndex(name, "/")+1:]) // an address that ends in /p2p/PEER will do
		if err != nil {
			return fmt.Errorf("--attester %q: %w", name, err)
		}
		s.Attesters = append(s.Attesters, id)
	}
	for _, name := range payees {
		to, err := chain.ParseAddress(name)
		if err != nil {
			return fmt.Errorf("--payee %q: %w", name, err)
		}
		s.Payees = append(s.Payees, to)
	}
	return nil
}

// bytesPerSecond is the bound for collectives, or 0.
func (s shop) bytesPerSecond() float64 { return s.MaxRate * 1e6 / 8 }

// config is what the shop says, in the daemon's words.
func (s shop) config() (provider.Config, error) {
	rate, err := market.ParseNTX(s.Rate)
	if err != nil {
		return provider.Config{}, fmt.Errorf("--rate: %w", err)
	}
	if s.MaxRate != 0 && !(s.bytesPerSecond() >= collective.MinRate && s.MaxRate <= 1e6) {
		return provider.Config{}, fmt.Errorf("--max-rate: %g, want 0, or %g to %g", s.MaxRate, collective.MinRate*8/1e6, 1e6)
	}
	if s.LeastShare < 0 || s.LeastShare > 100 {
		return provider.Config{}, fmt.Errorf("--least-share-percent: %g, want 0 to 100", s.LeastShare)
	}
	unpaid, stake := uint64(0), uint64(math.MaxUint64)
	if s.MaxUnpaid != "" {
		if unpaid, err = market.ParseNTX(s.MaxUnpaid); err != nil {
			return provider.Config{}, fmt.Errorf("--max-unpaid: %w", err)
		}
	}
	if s.MaxStake != "" {
		if stake, err = market.ParseNTX(s.MaxStake); err != nil {
			return provider.Config{}, fmt.Errorf("--max-stake: %w", err)
		}
	}
	return provider.Config{
		MaxUnpaid: unpaid,
		Trust:     provider.Trust{Attesters: s.Attesters, Payees: s.Payees, LeastBps: uint16(s.LeastShare * 100), MostUNTX: stake},
		RateUNTX:  rate, Region: s.Region, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Capacity: market.Capacity{Slots: s.Slots, Resources: market.Resources{
			MilliCPU: uint64(s.CPUs * 1000), MemoryMiB: uint64(s.MemoryGiB * 1024), DiskMiB: uint64(s.DiskGiB * 1024),
		}},
	}, nil
}

func (a *app) providerRun(ctx context.Context, listen string) (err error) {
	b, err := os.ReadFile(a.path("provider.json"))
	if err != nil {
		return fail(exitConfig, err, "tally provider init says what to sell")
	}
	var s shop
	if err := json.Unmarshal(b, &s); err != nil {
		return fail(exitConfig, err, "%s is not JSON: tally provider init writes it anew", a.path("provider.json"))
	}
	cfg, err := s.config()
	if err != nil {
		return fail(exitConfig, err, "check %s", a.path("provider.json"))
	}
	engine, err := container.New(container.Config{OCIRuntime: s.Runtime})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if err := a.stock(ctx, &cfg, s, engine); err != nil {
		return err
	}
	p, err := a.open(ctx, access{listen: listen, peers: true, server: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return p.run(ctx, func(ctx context.Context) error { return p.sell(ctx, cfg, engine, s.bytesPerSecond()) })
}

// stock looks at what the machine and its engine really have.
func (a *app) stock(ctx context.Context, cfg *provider.Config, s shop, engine *container.Runtime) error {
	info, err := engine.Info(ctx)
	if err != nil {
		return err
	}
	cfg.Isolation = info.Isolation
	gpus, why, err := provider.GPUs()
	if err != nil {
		return err
	}
	cfg.GPUs = gpus
	a.note("%s; %s %s, isolation %s", why, info.Engine, info.Version, info.Isolation.Tier())
	for _, name := range s.Images {
		id, err := engine.ImageID(ctx, name)
		if errors.Is(err, executor.ErrImageMissing) {
			a.note("image %s is not on this engine and is not offered", name)
			continue
		}
		if err != nil {
			return err
		}
		cfg.Images = append(cfg.Images, id)
	}
	return nil
}

// sell runs the daemon, the escrow's actor and the answers to requesters.
func (p *party) sell(ctx context.Context, cfg provider.Config, engine *container.Runtime, bytesPerSecond float64) (err error) {
	db, err := openDB(filepath.Join(p.home, "provider.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sdk := filepath.Join(p.home, "sdk")
	if err := writeSDK(sdk); err != nil {
		return err
	}
	service := collective.NewService(p.host, p.app.logger)
	defer func() { err = errors.Join(err, service.Close()) }()
	service.Pace(int(bytesPerSecond))
	if err := service.ListenStraight(); err != nil {
		p.app.logger.Warn("collectives are slower than they could be", "error", err)
	}
	cfg.Policy, cfg.Margin = p.net.Policy, time.Duration(p.net.MarginMS)*time.Millisecond
	cfg.MaxLockTime = 2 * time.Duration(p.net.LockMS) * time.Millisecond
	cfg.Addrs = func() []string {
		var all []string
		for _, m := range p.host.Addrs() {
			all = append(all, m.String())
		}
		return all
	}
	cfg = cfg.Defaults()
	d, err := provider.New(ctx, cfg, provider.Deps{
		Dir: filepath.Join(p.home, "jobs"), DB: db, Peer: p.host.Key(), Contracts: p.contracts,
		Ledger: p.ledger(), Book: p.book, Wallet: &witnessWallet{p.wallet, p.kept}, SignBinding: p.wallet.SignMessage,
		Engine: engine, Files: p.files, Collectives: collectives{service, cfg.ArenaBytes, int(bytesPerSecond), p.app.logger},
		Publisher: &publisher{p: p}, Fellows: agree.Client{Host: p.host}, SDK: sdk, Log: p.app.logger,
	})
	if err != nil {
		return fail(exitConfig, err, "check %s", filepath.Join(p.home, "provider.json"))
	}
	p.book.mine = func(ctx context.Context, l escrow.Lot) (bool, error) {
		if l.Key.Provider != p.wallet.PaymentKey() || !l.Mine(p.wallet.PaymentKey()) {
			return false, nil
		}
		return d.Known(ctx, l.Key.Job)
	}
	server := agree.Serve(ctx, p.host, d, d, agree.ServeOptions{Log: p.app.logger})
	defer func() { err = errors.Join(err, server.Close()) }()
	fellows := agree.ServeFellow(ctx, p.host, d, agree.ServeOptions{Log: p.app.logger})
	defer func() { err = errors.Join(err, fellows.Close()) }()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return p.settling(ctx, escrow.Provider, d.Meeting(p.purse), d.Evidence, d.Facts) })
	g.Go(func() error { return p.tidy(ctx) })
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil // asked to stop
	}
	return err
}

// publisher puts offers into the DHT, and says so on stdout the first time.
type publisher struct {
	p    *party
	said bool
}

// Publish implements provider.Publisher.
func (u *publisher) Publish(ctx context.Context, offer []byte, capabilities []market.Capability) error {
	keys := make([]string, len(capabilities))
	for i, c := range capabilities {
		keys[i] = market.CapabilityKey(u.p.net.Magic, u.p.contracts.Policy, c)
	}
	if err := u.p.dht.Publish(ctx, offer, keys); err != nil || u.said {
		return err
	}
	u.said = true
	return json.NewEncoder(u.p.app.stdout).Encode(map[string]any{
		"ready": true, "peer": u.p.host.ID(), "address": u.p.wallet.Address(), "addrs": u.p.host.Addrs(),
	})
}

// writeSDK writes the Python SDK where containers can mount it.
func writeSDK(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, python.Files)
}

func openDB(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}
