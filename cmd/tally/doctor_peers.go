package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/testnet"
)

// engine looks at the container engine of a provider, as its settings name it.
func (d *doctor) engine(ctx context.Context) {
	const name = "engine"
	b, err := os.ReadFile(d.path("provider.json"))
	var s shop
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		d.failed(name, fail(exitConfig, err, "tally provider init writes %s anew", d.path("provider.json")))
		return
	}
	engine, err := container.New(container.Config{OCIRuntime: s.Runtime})
	if err != nil {
		d.failed(name, err)
		return
	}
	info, err := engine.Info(ctx)
	if err = errors.Join(err, engine.Close()); err != nil {
		d.failed(name, err)
		return
	}
	d.ok(name, "%s %s, isolation %s", info.Engine, info.Version, info.Isolation.Tier())
}

// peerTime is how long a bootstrap peer may take to answer.
const peerTime = 10 * time.Second

// peers looks whether the DHT's bootstrap peers answer, from a host that is nobody's.
func (d *doctor) peers(ctx context.Context, n testnet.Network) {
	const name = "peers"
	if len(n.Bootstrap) == 0 {
		d.warn(name, "put multiaddresses of DHT peers into network.json", "no bootstrap peers: offers cannot be found")
		return
	}
	boot, err := bootstrapPeers(n.Bootstrap)
	if err != nil {
		d.failed(name, fail(exitConfig, err, "network.json names bootstrap peers as multiaddresses that end in /p2p/PEER"))
		return
	}
	text, err := meet(ctx, boot)
	if err != nil {
		d.failed(name, err)
		return
	}
	d.ok(name, "%s", text)
}

// meet joins the DHT as a guest.
func meet(ctx context.Context, boot []peer.AddrInfo) (text string, err error) {
	h, err := p2p.New(ctx, p2p.Config{UserAgent: "tally/" + version})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	t, err := dht.New(ctx, h, dht.Config{
		Bootstrap: boot,
		Check:     func(peer.ID, []byte, time.Time) (uint64, error) { return 0, errors.New("the doctor takes no offers") },
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, peerTime)
	defer cancel()
	if err := t.Bootstrap(ctx); err != nil {
		return "", err
	}
	reached := 0
	for _, b := range boot {
		if len(h.Network().ConnsToPeer(b.ID)) > 0 {
			reached++
		}
	}
	return fmt.Sprintf("%d of %d bootstrap peers answer; %d peers in the DHT's routing table", reached, len(boot), t.Peers()), nil
}
