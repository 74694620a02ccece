package market

import (
	"fmt"
	"reflect"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// Disputes is what a job's parties agree on for the case that a committed result is called wrong: who decides, until
// when, and what that costs whom. Rates are ten-thousandths of a lot's price.
type Disputes struct {
	Attesters []Attester    `json:"attesters"` // ascending by peer
	Threshold uint8         `json:"threshold"` // so many of them decide: more than half
	Verdict   Millis        `json:"verdict_ms"`
	BondUNTX  uint64        `json:"bond_untx"`  // what the requester adds to a lot that it disputes
	CostUNTX  uint64        `json:"cost_untx"`  // paid by who loses
	SlashBps  uint16        `json:"slash_bps"`  // taken from the bond of a provider that was found wrong, beside the cost
	StakeUNTX uint64        `json:"stake_untx"` // of each lot: taken from the stake of a provider that was found wrong, if it has so much
	ShareBps  uint16        `json:"share_bps"`  // the provider's if no verdict comes
	Payee     chain.Address `json:"payee"`      // of a key, which gets the cost
}

// Attester is a peer whose word on a disputed lot counts. Its Ed25519 peer key is the one that signs verdicts.
type Attester struct {
	Peer  peer.ID  `json:"peer"`
	Addrs []string `json:"addrs"` // multiaddrs
}

// Key is an Ed25519 verification key.
type Key [32]byte

// IsZero says whether k stands for no key.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText writes lower-case hex.
func (k Key) MarshalText() ([]byte, error) { return Hash(k).MarshalText() }

// UnmarshalText reads 64 hex digits.
func (k *Key) UnmarshalText(b []byte) error { return unhex(k[:], b, "key") }

// Key is the key that a's verdicts are signed with. Valid disputes have no attester without one.
func (a Attester) Key() (Key, error) {
	pub, err := peerKey(a.Peer)
	if err != nil {
		return Key{}, err
	}
	raw, err := pub.Raw()
	if err != nil || len(raw) != len(Key{}) {
		return Key{}, malformed("key of peer %s", a.Peer)
	}
	return Key(raw), nil
}

// Bounds of disputes.
const (
	MaxAttesters     = 9
	maxAttesterAddrs = 4
	maxAttesterAddr  = 128
	// VerdictRuns is how many times timeouts.run a verdict window is at least, for each shard of a lot: a shard is run
	// again at most twice, and evidence has to arrive before.
	VerdictRuns = 3
)

// Validate checks everything but the network and the parties.
func (d Disputes) Validate() error {
	n := len(d.Attesters)
	_, payee := d.Payee.Key()
	switch {
	case n == 0 || n > MaxAttesters:
		return malformed("disputes: %d attesters, want 1 to %d", n, MaxAttesters)
	case int(d.Threshold) > n || 2*int(d.Threshold) <= n:
		return malformed("disputes: %d of %d attesters decide, want more than half", d.Threshold, n)
	case d.Verdict < Second || d.Verdict > maxRun:
		return malformed("disputes: verdict window of %s", d.Verdict)
	case d.CostUNTX == 0 || d.CostUNTX > d.BondUNTX || d.BondUNTX > maxPrice:
		return malformed("disputes: bond of %d µNTX and cost of %d, want 0 < cost ≤ bond", d.BondUNTX, d.CostUNTX)
	case d.StakeUNTX > maxPrice:
		return malformed("disputes: %d µNTX of a stake", d.StakeUNTX)
	case d.SlashBps > 10_000 || d.ShareBps > 10_000:
		return malformed("disputes: slash of %d and share of %d ten-thousandths", d.SlashBps, d.ShareBps)
	case !payee:
		return malformed("disputes: payee %q is no address of a key", d.Payee)
	}
	for i, a := range d.Attesters {
		if _, err := a.Key(); err != nil {
			return fmt.Errorf("disputes: %w", err)
		}
		if i > 0 && a.Peer <= d.Attesters[i-1].Peer {
			return malformed("disputes: attester %s twice, or out of order", a.Peer)
		}
		if len(a.Addrs) == 0 || len(a.Addrs) > maxAttesterAddrs {
			return malformed("disputes: attester %s has %d addresses, want 1 to %d", a.Peer, len(a.Addrs), maxAttesterAddrs)
		}
		for _, addr := range a.Addrs {
			if addr == "" || !plain(addr, maxAttesterAddr) {
				return malformed("disputes: address %.40q of attester %s", addr, a.Peer)
			}
		}
	}
	return nil
}

// Covered says whether a bond at that rate pays for losing a dispute over a lot of that price: the contracts open no
// lot otherwise.
func (d Disputes) Covered(priceUNTX uint64, bondBps uint16) bool {
	return d.CostUNTX+d.SlashUNTX(priceUNTX) <= Bond(priceUNTX, bondBps)
}

// SlashUNTX is what a verdict against the provider takes from its bond beside the cost, in µNTX.
func (d Disputes) SlashUNTX(priceUNTX uint64) uint64 { return share(priceUNTX, d.SlashBps) }

// MostShards is how many shards a lot may have whose programs run so long, so that attesters can run all of them again.
func (d Disputes) MostShards(run Millis) uint32 {
	return uint32(min(d.Verdict/(VerdictRuns*max(run, 1)), MaxShards))
}

// Attester finds one by its peer id.
func (d Disputes) Attester(id peer.ID) (Attester, bool) {
	for _, a := range d.Attesters {
		if a.Peer == id {
			return a, true
		}
	}
	return Attester{}, false
}

// sameDisputes compares what two documents say of disputes.
func sameDisputes(a, b *Disputes) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.DeepEqual(*a, *b)
}

// checkDisputes wants disputes that these parties could bring to an end, and a voucher key wherever there are any.
func (t Terms) checkDisputes() error {
	if t.Disputes == nil {
		return nil
	}
	d := *t.Disputes
	if err := d.Validate(); err != nil {
		return err
	}
	if err := checkPayment(d.Payee, t.Magic); err != nil {
		return fmt.Errorf("disputes: %w", err)
	}
	switch {
	case t.Kind == Training:
		return malformed("disputes: a shard of a training job cannot be run again alone")
	case t.VoucherKey.IsZero():
		return malformed("disputes: no voucher key")
	case sameKey(d.Payee, t.RequesterAddress):
		return malformed("disputes: the requester would pay their cost to itself")
	}
	if _, party := d.Attester(t.Requester); party {
		return malformed("disputes: the requester is an attester")
	}
	for i, l := range t.Lots {
		_, party := d.Attester(l.Provider)
		switch {
		case party || sameKey(d.Payee, l.Payment):
			return malformed("disputes: provider %s is an attester, or the payee of their cost", l.Provider)
		case !d.Covered(l.PriceUNTX, t.BondBps):
			return malformed("lot %d: its bond of %d µNTX does not cover what losing a dispute takes", i, Bond(l.PriceUNTX, t.BondBps))
		case uint32(len(l.Shards)) > d.MostShards(t.Timeouts.Run):
			return malformed("lot %d: its %d shards cannot be run again in %s", i, len(l.Shards), d.Verdict)
		}
	}
	return nil
}

func sameKey(a, b chain.Address) bool {
	x, _ := a.Key()
	y, _ := b.Key()
	return x == y
}
