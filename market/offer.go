package market

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// OfferVersion is the version of the offer format.
const OfferVersion = 1

// Default rates of an offer, in ten-thousandths of the price.
const (
	DefaultBondBps    = 2000
	DefaultPenaltyBps = 1000
)

// Bounds of an offer.
const (
	MaxOfferBytes = 8 << 10 // signed, as published
	maxRate       = 1e9     // µNTX per shard-second: keeps every sum of prices below 2^63
	maxAddrs      = 16
	maxAddr       = 256
	maxGPUs       = 16
	maxImages     = 48
	maxClaims     = 16
	maxName       = 128
	maxLifetime   = chain.Time(2 * Day)
	maxSkew       = chain.Time(2 * Minute)
)

// Offer is what a provider sells. It binds the provider's peer id to its payment key: the peer's key signs the offer,
// and Binding is the payment key's signature over the peer id.
type Offer struct {
	Version    uint8            `json:"version"`
	Magic      uint32           `json:"magic"`     // the Cardano network's protocol magic
	Contracts  chain.ScriptHash `json:"contracts"` // the policy it accepts
	Sequence   uint64           `json:"sequence"`  // of two offers of a peer, the higher one holds
	Issued     chain.Time       `json:"issued"`
	Expires    chain.Time       `json:"expires"`
	Peer       peer.ID          `json:"peer"`
	Addrs      []string         `json:"addrs"`       // multiaddrs
	Payment    chain.Address    `json:"payment"`     // where it is paid
	PaymentKey []byte           `json:"payment_key"` // Ed25519 verification key of Payment
	Binding    []byte           `json:"binding"`
	RateUNTX   uint64           `json:"rate_untx"` // per shard-second
	BondBps    uint16           `json:"bond_bps"`
	PenaltyBps uint16           `json:"penalty_bps"`
	Capacity   Capacity         `json:"capacity"`
	GPUs       []GPU            `json:"gpus"`
	Isolation  string           `json:"isolation"` // what stands between a container and the machine, such as runc or runsc
	OS         string           `json:"os"`
	Arch       string           `json:"arch"`
	Region     string           `json:"region"`
	Images     []ImageDigest    `json:"images"` // that its engine has
	Claims     []Claim          `json:"claims"`
}

// Capacity is what a provider sells at most, of all shards together.
type Capacity struct {
	Resources
	Slots uint32 `json:"slots"` // shards at a time
}

// GPU is one accelerator.
type GPU struct {
	Model   string `json:"model"`
	UUID    string `json:"uuid"`
	VRAMMiB uint64 `json:"vram_mib"`
	Compute string `json:"compute"` // CUDA compute capability, such as 8.9
}

// Claim is a benchmark figure, as its provider tells it.
type Claim struct {
	Name     string `json:"name"`
	Value    uint64 `json:"value"`
	Unit     string `json:"unit"`
	Measured bool   `json:"measured"` // by the provider's own benchmark; otherwise only declared
}

func (o Offer) limit() int { return MaxOfferBytes - sealOverhead }

// Fits is how many shards of resources r the provider takes at once.
func (c Capacity) Fits(r Resources) uint32 {
	n := uint64(c.Slots)
	for _, d := range [][2]uint64{{c.MilliCPU, r.MilliCPU}, {c.MemoryMiB, r.MemoryMiB}, {c.DiskMiB, r.DiskMiB}} {
		if d[1] > 0 {
			n = min(n, d[0]/d[1])
		}
	}
	return uint32(n)
}

// Validate checks everything about an offer but its signatures and its time.
func (o Offer) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("offer: %s: %w", fmt.Sprintf(format, args...), ErrMalformed)
	}
	switch {
	case o.Version != OfferVersion:
		return bad("version %d, this program reads %d", o.Version, OfferVersion)
	case o.Issued <= 0 || o.Expires <= o.Issued || o.Expires-o.Issued > maxLifetime:
		return bad("issued at %d and expires at %d, want at most %s between them", o.Issued, o.Expires, Millis(maxLifetime))
	case o.RateUNTX == 0 || o.RateUNTX > maxRate:
		return bad("rate of %d µNTX, want 1 to %d", o.RateUNTX, uint64(maxRate))
	case o.Capacity.Slots == 0 || o.Capacity.Slots > MaxShards:
		return bad("%d slots, want 1 to %d", o.Capacity.Slots, MaxShards)
	case len(o.Addrs) > maxAddrs || len(o.GPUs) > maxGPUs || len(o.Images) > maxImages || len(o.Claims) > maxClaims:
		return bad("more than %d addresses, %d GPUs, %d images or %d claims", maxAddrs, maxGPUs, maxImages, maxClaims)
	case !slices.IsSorted(o.Images) || len(slices.Compact(slices.Clone(o.Images))) != len(o.Images):
		return bad("images are not in ascending order")
	case len(o.PaymentKey) != 32 || len(o.Binding) != 64:
		return bad("payment key of %d bytes and binding of %d, want 32 and 64", len(o.PaymentKey), len(o.Binding))
	}
	if _, err := peerKey(o.Peer); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	if err := checkRates(o.BondBps, o.PenaltyBps); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	if err := checkPayment(o.Payment, o.Magic); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	for _, a := range o.Addrs {
		if !plain(a, maxAddr) || a == "" {
			return bad("address %.40q", a)
		}
	}
	for _, d := range o.Images {
		if !isDigest(d) {
			return bad("image %.80q is no config digest", string(d))
		}
	}
	for _, s := range o.names() {
		if !plain(s, maxName) {
			return bad("name %.40q", s)
		}
	}
	return nil
}

// names lists the texts that people will see.
func (o Offer) names() []string {
	s := []string{o.Isolation, o.OS, o.Arch, o.Region}
	for _, g := range o.GPUs {
		s = append(s, g.Model, g.UUID, g.Compute)
	}
	for _, c := range o.Claims {
		s = append(s, c.Name, c.Unit)
	}
	return s
}

func checkRates(bond, penalty uint16) error {
	if penalty > bond || bond > 10_000 {
		return fmt.Errorf("bond of %d and penalty of %d ten-thousandths, want penalty ≤ bond ≤ 10000: %w", bond, penalty, ErrMalformed)
	}
	return nil
}

// checkPayment wants the address of a key, on the network with that magic.
func checkPayment(a chain.Address, magic uint32) error {
	if _, ok := a.Key(); !ok {
		return fmt.Errorf("payment address %q is not of a key: %w", a, ErrMalformed)
	}
	if (a.NetworkID() == 1) != (magic == mainnetMagic) {
		return fmt.Errorf("payment address %s does not belong to the network with magic %d: %w", a, magic, ErrOtherNetwork)
	}
	return nil
}

// mainnetMagic is the protocol magic of the one network whose addresses carry network id 1.
const mainnetMagic = 764824073

// plain says whether s is at most limit bytes of printable text, safe to show on a terminal.
func plain(s string, limit int) bool {
	if len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Line makes of s a text that a document may carry: one line of printable characters, of long text the beginning.
func Line(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
