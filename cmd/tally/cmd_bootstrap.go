package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/p2p"
)

func bootstrapCommand(a *app) *cobra.Command {
	listen := ""
	c := &cobra.Command{
		Use: "bootstrap", Short: "Run a DHT node that others start from, until interrupted", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bootstrap(cmd.Context(), listen) },
	}
	c.Flags().StringVar(&listen, "listen", p2p.DefaultListen, "multiaddress to listen on")
	return c
}

// bootstrap holds offers for others, and knows nothing of the chain but its network's number.
func (a *app) bootstrap(ctx context.Context, listen string) (err error) {
	n, err := a.network()
	if err != nil {
		return err
	}
	h, err := p2p.New(ctx, p2p.Config{KeyFile: a.path("peer.key"), Listen: []string{listen}, UserAgent: "tally/" + version, Log: a.logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	d, err := dht.New(ctx, h, dht.Config{Server: true, Log: a.logger, Check: func(id peer.ID, offer []byte, now time.Time) (uint64, error) {
		o, err := market.OpenOffer(offer, chain.Time(now.UnixMilli()), n.Magic, id)
		return o.Sequence, err
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := json.NewEncoder(a.stdout).Encode(map[string]any{"peer": h.ID(), "addrs": h.AddrInfo().Addrs}); err != nil {
		return err
	}
	if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
