package provider

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// Disputes that others would decide, or that could cost more than agreed, are refused before anything is quoted.
func TestTrust(t *testing.T) {
	c, err := plutus.New(chaintest.Network(), plutus.Devnet(ntx))
	if err != nil {
		t.Fatal(err)
	}
	payee := chain.Enterprise(chaintest.Network(), chaintest.NewActor("payee").Hash)
	d := &Daemon{Deps: Deps{Contracts: c}, cfg: Config{
		RateUNTX: 1000, BondBps: 2000, Trust: Trust{Attesters: []peer.ID{"a", "b", "c"}, Payees: []chain.Address{payee}, LeastBps: 5000, MostUNTX: 7},
	}}
	fair := func() market.QuoteRequest {
		return market.QuoteRequest{Shards: 1, Timeouts: market.Timeouts{Run: 10 * market.Second}, Disputes: &market.Disputes{
			Attesters: []market.Attester{{Peer: "a"}, {Peer: "c"}}, Threshold: 2, Verdict: market.Minute, BondUNTX: 1500, CostUNTX: 1500,
			SlashBps: 500, ShareBps: 5000, Payee: payee, StakeUNTX: 7,
		}}
	}
	if err := d.trusted(fair()); err != nil {
		t.Error(err)
	}
	if err := d.trusted(market.QuoteRequest{}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*market.QuoteRequest){
		"an attester it does not know": func(r *market.QuoteRequest) { r.Disputes.Attesters[1].Peer = "z" },
		"a payee it does not know": func(r *market.QuoteRequest) {
			r.Disputes.Payee = chain.Enterprise(chaintest.Network(), chaintest.NewActor("z").Hash)
		},
		"a small share":         func(r *market.QuoteRequest) { r.Disputes.ShareBps = 4999 },
		"too much of its stake": func(r *market.QuoteRequest) { r.Disputes.StakeUNTX = 8 },
		"a cost over the bond":  func(r *market.QuoteRequest) { r.Disputes.CostUNTX = 1501 },
		"a slash over the bond": func(r *market.QuoteRequest) { r.Disputes.SlashBps = 501 },
		"a window too long":     func(r *market.QuoteRequest) { r.Disputes.Verdict = 2 * market.Day },
		"shards without end":    func(r *market.QuoteRequest) { r.Shards = 3 },
	} {
		r := fair()
		change(&r)
		var no market.Refusal
		if err := d.trusted(r); !errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.cfg.Trust.Attesters = nil
	if err := d.trusted(fair()); err == nil {
		t.Error("nobody is on the list, and it takes a job with disputes")
	}
}
