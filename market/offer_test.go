package market

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

func TestOfferRoundTrip(t *testing.T) {
	p := newParty(t, 1)
	data := p.signed(t)
	o, err := OpenOffer(data, testNow, testMagic, p.id)
	if err != nil {
		t.Fatal(err)
	}
	if o.RateUNTX != 10 || o.Payment != p.addr || o.GPUs[0].VRAMMiB != 24564 || o.Peer != p.id {
		t.Errorf("%+v", o)
	}
	if again, err := SignOffer(o, p.key, p.sign); err != nil || !bytes.Equal(again, data) {
		t.Errorf("signed again it differs: %v", err)
	}
	if _, err := OpenOffer(data, testNow, testMagic, ""); err != nil {
		t.Errorf("from anybody: %v", err)
	}
}

func TestOpenOfferRefuses(t *testing.T) {
	p, q := newParty(t, 1), newParty(t, 2)
	data := p.signed(t)
	resigned := func(change func(*Offer)) []byte { // by the right peer, without SignOffer's checks
		o, err := OpenOffer(data, testNow, testMagic, p.id)
		if err != nil {
			t.Fatal(err)
		}
		change(&o)
		body, err := encMode.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := p.key.Sign(append([]byte(domainOffer), body...))
		if err != nil {
			t.Fatal(err)
		}
		b, err := encMode.Marshal(sealed{body, sig})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	flip := func(at int) []byte {
		b := slices.Clone(data)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
	otherDomain := func() []byte {
		o, _ := OpenOffer(data, testNow, testMagic, p.id)
		b, err := seal(domainQuote, o, p.key, p.id)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		what  string
		data  []byte
		now   chain.Time
		magic uint32
		from  peer.ID
		want  error
	}{
		{"signature changed", flip(-1), testNow, testMagic, p.id, ErrSignature},
		{"signed for another purpose", otherDomain(), testNow, testMagic, p.id, ErrSignature},
		{"rate changed after signing", bytes.Replace(data, []byte("rate_untx\x0a"), []byte("rate_untx\x01"), 1), testNow, testMagic, p.id, ErrSignature},
		{"other peer", data, testNow, testMagic, q.id, ErrOtherPeer},
		{"other network", data, testNow, 2, p.id, ErrOtherNetwork},
		{"expired", data, Hour.After(testNow), testMagic, p.id, ErrExpired},
		{"not yet valid", data, testNow - 200_000, testMagic, p.id, ErrNotYetValid},
		{"too large", make([]byte, MaxOfferBytes+1), testNow, testMagic, p.id, ErrTooLarge},
		{"empty", nil, testNow, testMagic, p.id, ErrMalformed},
		{"cut", data[:len(data)-1], testNow, testMagic, p.id, ErrMalformed},
		{"trailing byte", append(slices.Clone(data), 0), testNow, testMagic, p.id, ErrMalformed},
		{"another's address", resigned(func(o *Offer) { o.Payment = q.addr }), testNow, testMagic, p.id, ErrSignature},
		{"another's address and key", resigned(func(o *Offer) { o.Payment, o.PaymentKey = q.addr, q.vkey() }), testNow, testMagic, p.id, ErrSignature},
		{"binding of another network", resigned(func(o *Offer) { o.Magic = 2 }), testNow, 2, p.id, ErrSignature},
		{"mainnet with test address", resigned(func(o *Offer) { o.Magic = mainnetMagic }), testNow, mainnetMagic, p.id, ErrOtherNetwork},
		{"another peer inside", resigned(func(o *Offer) { o.Peer = q.id }), testNow, testMagic, q.id, ErrSignature},
		{"lives too long", resigned(func(o *Offer) { o.Expires = (3 * Day).After(o.Issued) }), testNow, testMagic, p.id, ErrMalformed},
		{"penalty over bond", resigned(func(o *Offer) { o.PenaltyBps = o.BondBps + 1 }), testNow, testMagic, p.id, ErrMalformed},
		{"free", resigned(func(o *Offer) { o.RateUNTX = 0 }), testNow, testMagic, p.id, ErrMalformed},
		{"terminal escape", resigned(func(o *Offer) { o.Region = "\x1b[2J" }), testNow, testMagic, p.id, ErrMalformed},
		{"many addresses", resigned(func(o *Offer) { o.Addrs = slices.Repeat(o.Addrs, 17) }), testNow, testMagic, p.id, ErrMalformed},
		{"no digest", resigned(func(o *Offer) { o.Images = []ImageDigest{"latest"} }), testNow, testMagic, p.id, ErrMalformed},
		{"future version", resigned(func(o *Offer) { o.Version = 2 }), testNow, testMagic, p.id, ErrMalformed},
	} {
		if _, err := OpenOffer(c.data, c.now, c.magic, c.from); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if _, err := SignOffer(p.offer(), p.key, q.sign); !errors.Is(err, ErrSignature) {
		t.Errorf("signed with another payment key: %v", err)
	}
}

func TestOfferFits(t *testing.T) {
	o := newParty(t, 1).offer()
	o.Images, o.Addrs, o.GPUs = nil, nil, nil
	for i := range maxImages {
		o.Images = append(o.Images, ImageDigest("sha256:"+strings.Repeat("0", 62)+string("0123456789abcdef"[i/16])+string("0123456789abcdef"[i%16])))
	}
	for range maxGPUs {
		o.GPUs = append(o.GPUs, GPU{"NVIDIA H100 80GB HBM3", "GPU-01234567-89ab-cdef-0123-456789abcdef", 81559, "9.0"})
	}
	for range maxAddrs {
		o.Addrs = append(o.Addrs, "/ip6/2001:db8:85a3:8d3:1319:8a2e:370:7348/udp/4001/quic-v1/webtransport")
	}
	p := newParty(t, 1)
	data, err := SignOffer(o, p.key, p.sign)
	if err != nil {
		t.Fatalf("a large machine's offer does not fit: %v", err)
	}
	if _, err := OpenOffer(data, testNow, testMagic, p.id); err != nil {
		t.Error(err)
	}
}

func TestCapabilities(t *testing.T) {
	o := newParty(t, 1).offer()
	want := []Capability{"any", "gpu/rtx4090", "region/eu", "vram/12", "vram/16", "vram/24", "vram/4", "vram/8"}
	if got := o.Capabilities(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o.GPUs, o.Region = nil, ""
	if got := o.Capabilities(); !slices.Equal(got, []Capability{CapAny, CapCPU}) {
		t.Errorf("without GPU: %v", got)
	}
	for gib, want := range map[uint64]Capability{1: "vram/4", 24: "vram/24", 30: "vram/24", 200: "vram/141"} {
		if got := CapVRAM(gib); got != want {
			t.Errorf("%d GiB: %s", gib, got)
		}
	}
	if CapGPU("GeForce RTX 4090") != CapGPU("rtx-4090") {
		t.Error("spellings differ")
	}
	a, b := CapabilityKey(42, testPolicy, CapAny), CapabilityKey(2, testPolicy, CapAny)
	if a == b || !strings.HasPrefix(a, "/tally/cap/1/42/010203") {
		t.Errorf("keys %s, %s", a, b)
	}
	id := newParty(t, 1).id
	if got, err := PeerOfOfferKey(OfferKey(id)); err != nil || got != id {
		t.Errorf("%s: %v", got, err)
	}
	for _, k := range []string{"", "/tally/offer/", "/other/" + id.String(), OfferKey(id) + "/x"} {
		if _, err := PeerOfOfferKey(k); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", k, err)
		}
	}
}

// Whatever opens is signed by its peer and payment key and encodes to the same bytes.
func FuzzOpenOffer(f *testing.F) {
	p := newParty(f, 1)
	f.Add(p.signed(f))
	f.Add([]byte{0xa2})
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := OpenOffer(data, testNow, testMagic, "")
		if err != nil {
			return
		}
		body, err := encode(o)
		if err != nil || !bytes.Contains(data, body) {
			t.Errorf("%x encodes to %x, %v", data, body, err)
		}
	})
}
