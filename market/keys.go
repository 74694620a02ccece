package market

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

const offerPrefix = "/tally/offer/"

// OfferKey is the DHT key of a peer's signed offer.
func OfferKey(id peer.ID) string { return offerPrefix + id.String() }

// PeerOfOfferKey is the peer whose offer belongs under key.
func PeerOfOfferKey(key string) (peer.ID, error) {
	s, ok := strings.CutPrefix(key, offerPrefix)
	if !ok {
		return "", fmt.Errorf("DHT key %.80q is not of an offer: %w", key, ErrMalformed)
	}
	id, err := peer.Decode(s)
	if err != nil || OfferKey(id) != key {
		return "", fmt.Errorf("DHT key %.80q: %w", key, ErrMalformed)
	}
	return id, nil
}

// Capability names what a requester can look for.
type Capability string

// Capabilities that need no value.
const (
	CapAny Capability = "any" // every provider
	CapCPU Capability = "cpu" // providers without a GPU
)

// CapGPU is a GPU model, whatever its spelling: "NVIDIA GeForce RTX 4090" is gpu/rtx4090.
func CapGPU(model string) Capability {
	s := strings.ToLower(model)
	for _, brand := range []string{"nvidia", "geforce", "amd", "radeon", "tesla", "graphics"} {
		s = strings.ReplaceAll(s, brand, "")
	}
	return Capability("gpu/" + slug(s))
}

// CapRegion is a region.
func CapRegion(region string) Capability {
	return Capability("region/" + slug(strings.ToLower(region)))
}

// vramTiers in GiB: a GPU is listed under each tier it reaches.
var vramTiers = [...]uint64{4, 8, 12, 16, 24, 32, 40, 48, 80, 96, 141}

// CapVRAM is the largest tier that gib GiB of GPU memory reach, so that all who have as much are listed there.
func CapVRAM(gib uint64) Capability {
	best := vramTiers[0]
	for _, t := range vramTiers {
		if t <= gib {
			best = t
		}
	}
	return vramKey(best)
}

func vramKey(tier uint64) Capability { return Capability("vram/" + strconv.FormatUint(tier, 10)) }

// CapabilityKey is the text whose hash is the DHT key of a capability, on one network and one set of contracts.
func CapabilityKey(magic uint32, contracts chain.ScriptHash, c Capability) string {
	return fmt.Sprintf("/tally/cap/1/%d/%s/%s", magic, contracts, c)
}

// Capabilities lists what o is to be found under, without repetition, in order. A GPU's memory counts for a tier if it
// is within 5 % of it: drivers keep some of what the box says.
func (o Offer) Capabilities() []Capability {
	caps := []Capability{CapAny}
	if len(o.GPUs) == 0 {
		caps = append(caps, CapCPU)
	}
	for _, g := range o.GPUs {
		caps = append(caps, CapGPU(g.Model))
		for _, t := range vramTiers {
			if g.VRAMMiB >= t*1024*95/100 {
				caps = append(caps, vramKey(t))
			}
		}
	}
	if o.Region != "" {
		caps = append(caps, CapRegion(o.Region))
	}
	slices.Sort(caps)
	return slices.Compact(caps)
}

func slug(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
