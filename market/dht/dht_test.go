package dht_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/dht"
	"github.com/tallycompute/tally/market/p2p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testOffer is a signed offer as small as it can be.
type testOffer struct {
	Peer    peer.ID
	Seq     uint64
	Expires time.Time
	Pad     []byte
	Sig     []byte
}

func (o testOffer) signed(t testing.TB, key crypto.PrivKey) []byte {
	t.Helper()
	o.Sig = nil
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Sig, err = key.Sign(body); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	errSig     = errors.New("bad signature")
	errExpired = errors.New("expired")
	errPeer    = errors.New("of another peer")
)

func checkOffer(p peer.ID, raw []byte, now time.Time) (uint64, error) {
	var o testOffer
	if err := json.Unmarshal(raw, &o); err != nil {
		return 0, err
	}
	sig := o.Sig
	o.Sig = nil
	body, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	pub, err := o.Peer.ExtractPublicKey()
	if err != nil {
		return 0, err
	}
	if ok, err := pub.Verify(body, sig); err != nil || !ok {
		return 0, errSig
	}
	if o.Peer != p {
		return 0, errPeer
	}
	if now.After(o.Expires) {
		return 0, errExpired
	}
	return o.Seq, nil
}

// acceptAll is the check of a node that lies.
func acceptAll(peer.ID, []byte, time.Time) (uint64, error) { return 1, nil }

type node struct {
	*p2p.Host
	*dht.DHT
	close func()
}

func newNode(t testing.TB, cfg dht.Config, boot ...*node) *node {
	t.Helper()
	h, err := p2p.New(t.Context(), p2p.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Check == nil {
		cfg.Check = checkOffer
	}
	cfg.Server = true
	for _, b := range boot {
		cfg.Bootstrap = append(cfg.Bootstrap, b.AddrInfo())
	}
	d, err := dht.New(context.WithoutCancel(t.Context()), h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	n := &node{Host: h, DHT: d, close: func() {
		once.Do(func() {
			if err := errors.Join(d.Close(), h.Close()); err != nil {
				t.Error(err)
			}
		})
	}}
	t.Cleanup(n.close)
	if err := d.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) offer(t testing.TB, seq uint64) []byte {
	return testOffer{Peer: n.ID(), Seq: seq, Expires: time.Now().Add(time.Hour)}.signed(t, n.Key())
}

// network is a bootstrap node and n others that know only it.
func network(t testing.TB, n int) (*node, []*node) {
	t.Helper()
	boot := newNode(t, dht.Config{})
	peers := make([]*node, n)
	for i := range peers {
		peers[i] = newNode(t, dht.Config{}, boot)
	}
	return boot, peers
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestPublishFind(t *testing.T) {
	ctx := deadline(t)
	boot, peers := network(t, 5)
	for i, p := range peers {
		keys := []string{"cpu"}
		if i < 2 {
			keys = append(keys, "gpu/h100")
		}
		if err := p.Publish(ctx, p.offer(t, 1), keys); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	for _, asker := range append(peers, boot) {
		for key, want := range map[string]int{"cpu": 5, "gpu/h100": 2, "gpu/none": 0} {
			res, err := asker.Find(ctx, key, 100)
			if err != nil || len(res.Found) != want || len(res.Rejected) != 0 {
				t.Fatalf("%s: found %d of %d, rejected %v: %v", key, len(res.Found), want, res.Rejected, err)
			}
			for _, f := range res.Found {
				if _, err := checkOffer(f.Peer, f.Offer, time.Now()); err != nil {
					t.Fatal(err)
				}
				if len(f.Addrs) == 0 {
					t.Fatalf("no addresses for %s", f.Peer)
				}
			}
		}
	}
	t.Logf("18 searches in %v", time.Since(start))
	if res, err := boot.Find(ctx, "cpu", 3); err != nil || len(res.Found) != 3 {
		t.Fatalf("limit 3: %d, %v", len(res.Found), err)
	}
}

func TestNewestOfferWins(t *testing.T) {
	ctx := deadline(t)
	_, peers := network(t, 4)
	seller, asker := peers[0], peers[3]
	for _, seq := range []uint64{1, 7} {
		if err := seller.Publish(ctx, seller.offer(t, seq), []string{"cpu"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := seller.Publish(ctx, seller.offer(t, 3), []string{"cpu"}); err == nil {
		t.Fatal("an older offer replaced a newer one")
	}
	f, err := asker.Fetch(ctx, peer.AddrInfo{ID: seller.ID()})
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := checkOffer(seller.ID(), f.Offer, time.Now()); err != nil || seq != 7 {
		t.Fatalf("sequence %d: %v", seq, err)
	}
}

// Peers that publish what is not a fresh offer of their own are dropped, each with its reason, and honest ones are found.
func TestLiars(t *testing.T) {
	ctx := deadline(t)
	boot, peers := network(t, 3)
	honest := peers[0]
	if err := honest.Publish(ctx, honest.offer(t, 1), []string{"cpu"}); err != nil {
		t.Fatal(err)
	}
	want := map[peer.ID]error{}
	lie := func(reason error, make func(*node) []byte) {
		n := newNode(t, dht.Config{Check: acceptAll}, boot)
		if err := n.Publish(ctx, make(n), []string{"cpu"}); err != nil {
			t.Fatal(err)
		}
		want[n.ID()] = reason
	}
	lie(errSig, func(n *node) []byte {
		return testOffer{Peer: n.ID(), Seq: 9, Expires: time.Now().Add(time.Hour)}.signed(t, honest.Key())
	})
	lie(errExpired, func(n *node) []byte {
		return testOffer{Peer: n.ID(), Seq: 9, Expires: time.Now().Add(-time.Second)}.signed(t, n.Key())
	})
	lie(errPeer, func(*node) []byte { return honest.offer(t, 9) })
	lie(nil, func(*node) []byte { return []byte("garbage") })
	for _, asker := range []*node{boot, peers[1], peers[2]} {
		res, err := asker.Find(ctx, "cpu", 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Found) != 1 || res.Found[0].Peer != honest.ID() {
			t.Fatalf("found %v", res.Found)
		}
		if len(res.Rejected) != len(want) {
			t.Fatalf("rejected %v, want %d", res.Rejected, len(want))
		}
		for _, r := range res.Rejected {
			if !errors.Is(r.Reason, dht.ErrBadOffer) || (want[r.Peer] != nil && !errors.Is(r.Reason, want[r.Peer])) {
				t.Errorf("%s: reason %q, want %v", r.Peer, r.Reason, want[r.Peer])
			}
		}
	}
}

// A provider record without an offer behind it is dropped, too.
func TestHintWithoutOffer(t *testing.T) {
	ctx := deadline(t)
	_, peers := network(t, 2)
	if _, err := peers[0].Fetch(ctx, peers[1].AddrInfo()); !errors.Is(err, dht.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestBootstrapGone(t *testing.T) {
	ctx := deadline(t)
	boot, peers := network(t, 5)
	early, late, asker := peers[0], peers[1], peers[4]
	if err := early.Publish(ctx, early.offer(t, 1), []string{"cpu"}); err != nil {
		t.Fatal(err)
	}
	boot.close()
	if err := late.Publish(ctx, late.offer(t, 1), []string{"cpu"}); err != nil {
		t.Fatal(err)
	}
	res, err := asker.Find(ctx, "cpu", 10)
	if err != nil || len(res.Found) != 2 {
		t.Fatalf("found %d of 2, rejected %v: %v", len(res.Found), res.Rejected, err)
	}
	joiner := newNode(t, dht.Config{}, boot, peers[2]) // one bootstrap peer of two is dead
	if res, err := joiner.Find(ctx, "cpu", 10); err != nil || len(res.Found) != 2 {
		t.Fatalf("joiner found %d of 2, rejected %v: %v", len(res.Found), res.Rejected, err)
	}
}

// An offer published before anybody answers is kept, and Run publishes it once a bootstrap peer does.
func TestRunPublishesLater(t *testing.T) {
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	silent, err := p2p.New(ctx, p2p.Config{}) // a peer that can be reached and is not in the DHT yet
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	h, err := p2p.New(ctx, p2p.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	d, err := dht.New(ctx, h, dht.Config{Check: checkOffer, Server: true, Bootstrap: []peer.AddrInfo{silent.AddrInfo()}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	offer := testOffer{Peer: h.ID(), Seq: 1, Expires: time.Now().Add(time.Hour)}.signed(t, h.Key())
	if err := d.Publish(ctx, offer, []string{"cpu"}); !errors.Is(err, dht.ErrNoPeers) {
		t.Fatalf("got %v", err)
	}
	if _, err := d.Find(ctx, "cpu", 1); !errors.Is(err, dht.ErrNoPeers) {
		t.Fatalf("got %v", err)
	}
	boot, err := dht.New(ctx, silent, dht.Config{Check: checkOffer, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	defer boot.Close()
	ran := make(chan error)
	go func() { ran <- d.Run(ctx) }()
	for {
		res, err := boot.Find(ctx, "cpu", 1)
		if err != nil && !errors.Is(err, dht.ErrNoPeers) {
			t.Fatal(err)
		}
		if len(res.Found) == 1 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal("never published")
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
}

func TestOwnBadOfferRefused(t *testing.T) {
	ctx := deadline(t)
	n := newNode(t, dht.Config{})
	other := newNode(t, dht.Config{}, n)
	if err := n.Publish(ctx, other.offer(t, 1), nil); !errors.Is(err, dht.ErrBadOffer) || !errors.Is(err, errPeer) {
		t.Fatalf("got %v", err)
	}
	if err := n.Publish(ctx, n.offer(t, 1), []string{""}); !errors.Is(err, dht.ErrBadOffer) {
		t.Fatalf("got %v", err)
	}
	big := testOffer{Peer: n.ID(), Expires: time.Now().Add(time.Hour), Pad: make([]byte, market.MaxOfferBytes)}.signed(t, n.Key())
	if err := n.Publish(ctx, big, nil); !errors.Is(err, dht.ErrBadOffer) {
		t.Fatalf("got %v", err)
	}
	many := make([]string, 129)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if err := n.Publish(ctx, n.offer(t, 1), many); !errors.Is(err, dht.ErrBadOffer) {
		t.Fatalf("got %v", err)
	}
	if _, err := dht.New(ctx, n.Host, dht.Config{}); !errors.Is(err, dht.ErrConfig) {
		t.Fatalf("got %v", err)
	}
}
