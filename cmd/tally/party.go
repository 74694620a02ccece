package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/executor/bundle"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// party is a participant with everything it holds open: keys, node, index, peers.
type party struct {
	app       *app
	home      string
	lock      *os.File
	busy      bool // another process works here: its tables are only read
	key       crypto.PrivKey
	net       testnet.Network
	contracts *plutus.Contracts
	wallet    *wallet.Wallet
	kept      *wallet.Reservations
	node      *node.Node
	ix        *index.Index
	book      *book
	purse     *purse
	host      *p2p.Host
	dht       *dht.DHT
	store     *bundle.Store
	files     *files
}

// path is a file in the participant's data directory.
func (a *app) path(elem ...string) string { return filepath.Join(append([]string{a.home}, elem...)...) }

// network reads the network's public facts.
func (a *app) network() (testnet.Network, error) {
	path := a.networkFile
	if path == "" {
		path = a.path("network.json")
	}
	n, err := testnet.Load(path)
	if errors.Is(err, fs.ErrNotExist) && a.networkFile != "" {
		return n, fail(exitConfig, err, "--network names the file with the network's public facts")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return n, fail(exitConfig, err, "tally init --network FILE sets up this participant; tally testnet up makes a whole network to try")
	}
	return n, fail(exitConfig, err, "check %s", path)
}

// dial connects to the participant's node.
func (a *app) dial(ctx context.Context, n testnet.Network) (*node.Node, error) {
	if n.Socket == "" {
		return nil, fail(exitConfig, errors.New("network.json names no node"), "set \"socket\" in it to your Cardano node's socket")
	}
	return node.Dial(ctx, node.Config{Socket: n.Socket, Network: n.Chain(), Log: a.logger})
}

// access is how much of a participant is opened.
type access struct {
	listen string // multiaddresses, separated by commas
	peers  bool   // join the DHT and talk to others
	server bool   // and hold its records for others
	look   bool   // only look: go on even while another process works here
	past   bool   // look at what is known, without a node
}

// open opens a participant.
func (a *app) open(ctx context.Context, with access) (*party, error) {
	net, err := a.network()
	if err != nil {
		return nil, err
	}
	p := &party{app: a, home: a.home, net: net}
	if err := p.open(ctx, with); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *party) open(ctx context.Context, with access) (err error) {
	a := p.app
	if err := os.MkdirAll(a.home, 0o700); err != nil {
		return fail(exitConfig, err, "choose another --home")
	}
	p.lock, err = lockHome(a.home)
	p.busy = with.look && errors.Is(err, errLocked)
	if err != nil && !p.busy {
		return fail(exitConfig, err, "another tally works in %s: end it, or choose another --home", a.home)
	}
	if p.contracts, err = plutus.New(p.net.Chain(), p.net.Contracts); err != nil {
		return fail(exitConfig, err, "the contract parameters in network.json cannot be used")
	}
	if _, _, err := pinned(p.net, p.contracts); err != nil {
		return err
	}
	if p.wallet, err = a.openWallet(p.net); err != nil {
		return err
	}
	if p.key, err = p2p.LoadOrCreateKey(a.path("peer.key")); err != nil {
		return fail(exitConfig, err, "check %s", a.path("peer.key"))
	}
	if err := p.openChain(ctx, with); err != nil {
		return err
	}
	if !with.peers {
		return nil
	}
	return p.openPeers(ctx, with)
}

func (p *party) openChain(ctx context.Context, with access) (err error) {
	if p.kept, err = wallet.OpenReservations(ctx, filepath.Join(p.home, "wallet.db")); err != nil {
		return err
	}
	if !with.past {
		if p.node, err = p.app.dial(ctx, p.net); err != nil {
			return err
		}
	}
	if p.ix, p.book, err = p.app.openIndex(ctx, p.net, p.contracts, p.wallet.PaymentKey()); err != nil {
		return err
	}
	p.purse = &purse{
		node: p.node, book: p.book, wallet: p.wallet, kept: p.kept, network: p.net.Chain(),
		depth: time.Duration(p.net.MarginMS) * time.Millisecond,
	}
	p.book.pending = p.purse.pays
	return nil
}

// indexAt is where a participant's index is.
func (a *app) indexAt() string { return setting("INDEX", a.path("index.db")) }

// openIndex opens a participant's index, with all that is read out of blocks.
func (a *app) openIndex(ctx context.Context, n testnet.Network, c *plutus.Contracts, key chain.KeyHash) (*index.Index, *book, error) {
	watch := []index.Credential{index.Key(key), index.Script(c.Stub), index.Script(c.Policy), index.Script(c.Stake), index.Script(c.Slices.Stub), index.Script(c.Slices.Policy)}
	var older []*plutus.Contracts
	for _, params := range n.Older {
		o, err := plutus.New(n.Chain(), params)
		if err != nil {
			return nil, nil, fail(exitConfig, err, "the older contract parameters in network.json cannot be used")
		}
		older = append(older, o)
		watch = append(watch, index.Script(o.Stub), index.Script(o.Policy), index.Script(o.Stake), index.Script(o.Slices.Stub), index.Script(o.Slices.Policy))
	}
	ix, err := index.Open(ctx, a.indexAt(), index.Config{Network: n.Chain(), Log: a.logger, Watch: watch})
	if err != nil {
		return nil, nil, err
	}
	b := newBook(ix, c, key, older...)
	ix.Register("fees/1", feeHandler(key))
	return ix, b, nil
}

func (p *party) openPeers(ctx context.Context, with access) (err error) {
	if p.store, err = bundle.OpenStore(filepath.Join(p.home, "store")); err != nil {
		return err
	}
	cfg := p2p.Config{Key: p.key, UserAgent: "tally/" + version, Log: p.app.logger}
	if with.listen != "" {
		cfg.Listen = strings.Split(with.listen, ",")
	}
	if p.host, err = p2p.New(ctx, cfg); err != nil {
		return err
	}
	boot, err := bootstrapPeers(p.net.Bootstrap)
	if err != nil {
		return fail(exitConfig, err, "network.json names bootstrap peers as multiaddresses that end in /p2p/PEER")
	}
	p.files = newFiles(p.host, p.store, p.app.logger)
	if with.look {
		return nil
	}
	p.dht, err = dht.New(ctx, p.host, dht.Config{
		Server: with.server, Bootstrap: boot, Log: p.app.logger,
		Check: func(id peer.ID, offer []byte, now time.Time) (uint64, error) {
			o, err := market.OpenOffer(offer, chain.Time(now.UnixMilli()), p.net.Magic, id)
			return o.Sequence, err
		},
	})
	return err
}

// run follows the chain and keeps in the DHT while f runs, and returns what f returns.
func (p *party) run(ctx context.Context, f func(ctx context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	done := errors.New("done")
	background := func(what string, run func(context.Context) error) {
		g.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	if !p.busy && p.node != nil {
		background("index", func(ctx context.Context) error { return p.ix.Run(ctx, p.node) })
		background("node", (&node.Watcher{Node: p.node, Log: p.app.logger}).Run)
	}
	if p.dht != nil {
		background("dht", p.dht.Run)
	}
	g.Go(func() error {
		if err := p.catchUp(ctx); err != nil {
			return err
		}
		if err := f(ctx); err != nil {
			return err
		}
		return done
	})
	if err := g.Wait(); !errors.Is(err, done) {
		return err
	}
	return nil
}

// catchUp waits until the index has what the node has now.
func (p *party) catchUp(ctx context.Context) error {
	if p.node == nil {
		return nil
	}
	if p.busy {
		p.app.note("another tally works in %s: this is what it knows so far", p.home)
		return nil
	}
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return err
	}
	return p.ix.WaitSlot(ctx, tip.Slot)
}

func (p *party) close() error {
	var errs []error
	if p.files != nil {
		errs = append(errs, p.files.close())
	}
	if p.dht != nil {
		errs = append(errs, p.dht.Close())
	}
	if p.host != nil {
		errs = append(errs, p.host.Close())
	}
	if p.ix != nil {
		errs = append(errs, p.ix.Close())
	}
	if p.node != nil {
		errs = append(errs, p.node.Close())
	}
	if p.kept != nil {
		errs = append(errs, p.kept.Close())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}

func bootstrapPeers(addrs []string) ([]peer.AddrInfo, error) {
	var all []peer.AddrInfo
	for _, s := range addrs {
		i, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer %q: %w", s, err)
		}
		all = append(all, *i)
	}
	return all, nil
}
