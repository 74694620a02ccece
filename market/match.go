package market

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// Needs is what a job wants of the market.
type Needs struct {
	Now       chain.Time
	Magic     uint32
	Contracts chain.ScriptHash
	Image     ImageDigest
	Shards    uint32
	Resources Resources // of each shard
	Run       Millis    // what is paid for
	Budget    uint64    // µNTX, of all shards together
	Providers uint32    // the most that one opening has room for; 0: any number
	Distinct  bool      // at most one shard a provider and a payment key; otherwise that is only preferred
	Disputes  *Disputes // nil: there are none
	MinStake  uint64    // µNTX that a provider must have at stake beyond what its open lots may lose; of its disputes at least

	Stakes map[chain.KeyHash]uint64 // what that is now, by payment key, as the chain has it
}

// LeastStakeUNTX is what a single stake must hold to count: smaller ones would only make transactions larger.
const LeastStakeUNTX = UNTX

// Needs of job j at time now, on the image with that config digest.
func (j Job) Needs(now chain.Time, magic uint32, contracts chain.ScriptHash, image ImageDigest) Needs {
	return Needs{
		Now: now, Magic: magic, Contracts: contracts, Image: image, Shards: j.Shards.Count, Resources: j.Resources,
		Run: j.Timeouts.Run, Budget: j.Budget, Disputes: j.Disputes, MinStake: j.MinStake,
	}
}

// Plan is who runs what for how much, and why the others do not. Every offer is in Chosen or in Rejected, once.
type Plan struct {
	Chosen      []Choice     `json:"chosen"`
	Rejected    []Rejection  `json:"rejected"`
	TotalUNTX   uint64       `json:"total_untx"`
	BondBps     uint16       `json:"bond_bps"` // one rate for the job, that of all chosen offers
	PenaltyBps  uint16       `json:"penalty_bps"`
	Problem     string       `json:"problem,omitempty"`     // why nothing is chosen
	Relaxations []Relaxation `json:"relaxations,omitempty"` // what would help, if nothing is chosen
}

// OK says whether the job can run.
func (p Plan) OK() bool { return p.Problem == "" }

// Err is nil, or an ErrNoMatch with the problem.
func (p Plan) Err() error {
	if p.OK() {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, p.Problem)
}

// Choice is one lot: an offer, the shards it runs and what they cost together.
type Choice struct {
	Offer     Offer    `json:"offer"`
	Shards    []uint32 `json:"shards"`
	PriceUNTX uint64   `json:"price_untx"`
}

// Rejection is an offer that is not used, and every reason for it.
type Rejection struct {
	Offer   Offer    `json:"offer"`
	Reasons []Reason `json:"reasons"`
}

// Reason is why an offer is not used.
type Reason struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
}

// Codes of reasons.
const (
	ReasonSuperseded = "superseded"      // the same peer has a newer offer
	ReasonNetwork    = "other_network"   // for another Cardano network
	ReasonContracts  = "other_contracts" // accepts other contracts
	ReasonTime       = "expired"         // or not yet valid
	ReasonImage      = "image"           // does not have the image
	ReasonCPUs       = "cpus"
	ReasonMemory     = "memory"
	ReasonDisk       = "disk"
	ReasonBond       = "bond"        // does not cover what losing a dispute takes
	ReasonStake      = "stake"       // too little at stake
	ReasonRates      = "other_rates" // bond or penalty differ from the chosen offers'
	ReasonOutranked  = "outranked"   // would do, but others come first
	ReasonOwner      = "same_owner"  // another offer is paid to the same key
	ReasonTooFew     = "too_few"     // would do, but the market has too few
	ReasonBudget     = "over_budget" // would do, but the budget does not reach
)

// candidate is an offer that fits, and how many shards it takes.
type candidate struct {
	Offer
	slots uint32
}

// Match chooses providers for a job. It does not depend on the offers' order. Offers that fit are ranked by rate, then
// by peer id; of groups with different bond and penalty rates it takes the cheapest that reaches. Shards are spread
// over as many providers as possible, in rank order, and where the budget does not allow that, put on the cheapest.
// Price = rate × whole seconds of Run, for each shard. Of more than Providers the first are taken, or where those have too
// little room the largest. A provider has one lot, its shards consecutive indices; of
// offers paid to one key the first counts.
func Match(n Needs, offers []Offer) Plan {
	fit, rejected := sift(n, offers)
	p := Plan{Chosen: []Choice{}, Rejected: rejected}
	best := n.best(fit)
	if best.problem != "" {
		p.Problem = best.problem
		for _, c := range fit {
			p.reject(c.Offer, best.code, best.problem)
		}
		p.Relaxations = relax(n, offers)
		return p
	}
	p.BondBps, p.PenaltyBps = best.group[0].BondBps, best.group[0].PenaltyBps
	var shard uint32
	for i, c := range best.group {
		if best.counts[i] == 0 {
			continue
		}
		choice := Choice{Offer: c.Offer, PriceUNTX: n.price(c.Offer, best.counts[i])}
		for range best.counts[i] {
			choice.Shards = append(choice.Shards, shard)
			shard++
		}
		p.Chosen = append(p.Chosen, choice)
		p.TotalUNTX += choice.PriceUNTX
	}
	p.passOver(fit)
	return p
}

// passOver rejects the offers that fit and were not chosen.
func (p *Plan) passOver(fit []candidate) {
	chosen := map[peer.ID]bool{}
	for _, c := range p.Chosen {
		chosen[c.Offer.Peer] = true
	}
	last := p.Chosen[len(p.Chosen)-1].Offer
	for _, c := range fit {
		switch {
		case chosen[c.Peer]:
		case c.BondBps != p.BondBps || c.PenaltyBps != p.PenaltyBps:
			p.reject(c.Offer, ReasonRates, fmt.Sprintf("bond %s and penalty %s of the price, this job's are %s and %s",
				percent(c.BondBps), percent(c.PenaltyBps), percent(p.BondBps), percent(p.PenaltyBps)))
		case c.RateUNTX < last.RateUNTX:
			p.reject(c.Offer, ReasonOutranked, fmt.Sprintf("too small: one opening holds %d providers, and there are larger ones", len(p.Chosen)))
		default:
			p.reject(c.Offer, ReasonOutranked, fmt.Sprintf("not needed: %s NTX a shard-second, the last one chosen takes %s",
				FormatNTX(c.RateUNTX), FormatNTX(last.RateUNTX)))
		}
	}
}

func (p *Plan) reject(o Offer, code, sentence string) {
	p.Rejected = append(p.Rejected, Rejection{o, []Reason{{code, sentence}}})
}

// sift separates the offers that could run a shard, in rank order, from those that could not.
func sift(n Needs, offers []Offer) (fit []candidate, rejected []Rejection) {
	ranked := slices.Clone(offers)
	slices.SortFunc(ranked, rank)
	newest := map[peer.ID]uint64{}
	for _, o := range ranked {
		newest[o.Peer] = max(newest[o.Peer], o.Sequence)
	}
	rejected = []Rejection{}
	used, keys := map[peer.ID]bool{}, map[chain.KeyHash]peer.ID{}
	for _, o := range ranked {
		key, _ := o.Payment.Key()
		reasons := unfit(n, o)
		if o.Sequence < newest[o.Peer] || used[o.Peer] {
			reasons = append(reasons, Reason{ReasonSuperseded, fmt.Sprintf("sequence %d, the peer's newest offer has %d", o.Sequence, newest[o.Peer])})
		}
		if owner, taken := keys[key]; taken && len(reasons) == 0 {
			reasons = append(reasons, Reason{ReasonOwner, fmt.Sprintf("paid to the same key as %s, which comes first", owner)})
		}
		used[o.Peer] = used[o.Peer] || o.Sequence == newest[o.Peer]
		if len(reasons) > 0 {
			rejected = append(rejected, Rejection{o, reasons})
			continue
		}
		keys[key] = o.Peer
		c := candidate{o, o.Capacity.Fits(n.Resources)}
		if n.Distinct {
			c.slots = 1
		}
		if d := n.Disputes; d != nil {
			c.slots = min(c.slots, d.MostShards(n.Run))
		}
		fit = append(fit, c)
	}
	return fit, rejected
}

// rank orders offers: the cheaper one first, then by peer, then the newer one, then by everything else.
func rank(a, b Offer) int {
	if c := cmp.Or(cmp.Compare(a.RateUNTX, b.RateUNTX), cmp.Compare(a.Peer, b.Peer), cmp.Compare(b.Sequence, a.Sequence)); c != 0 {
		return c
	}
	x, errX := encMode.Marshal(a)
	y, errY := encMode.Marshal(b)
	if errX != nil || errY != nil {
		return 0
	}
	return bytes.Compare(x, y)
}

// unfit lists why o cannot run a shard, whatever the other offers are.
func unfit(n Needs, o Offer) (why []Reason) {
	add := func(yes bool, code, format string, args ...any) {
		if yes {
			why = append(why, Reason{code, fmt.Sprintf(format, args...)})
		}
	}
	add(o.Magic != n.Magic, ReasonNetwork, "for the network with magic %d, this job is on %d", o.Magic, n.Magic)
	add(o.Contracts != n.Contracts, ReasonContracts, "accepts contracts %.8s…, this job uses %.8s…", o.Contracts, n.Contracts)
	if err := checkTime("the offer", o.Issued, o.Expires, n.Now); err != nil {
		add(true, ReasonTime, "%v", err)
	}
	add(!slices.Contains(o.Images, n.Image), ReasonImage, "does not have image %.19s", n.Image)
	c, r := o.Capacity, n.Resources
	add(c.MilliCPU < r.MilliCPU, ReasonCPUs, "%s CPUs < %s wanted", cores(c.MilliCPU), cores(r.MilliCPU))
	add(c.MemoryMiB < r.MemoryMiB, ReasonMemory, "memory %d MiB < %d MiB wanted", c.MemoryMiB, r.MemoryMiB)
	add(c.DiskMiB < r.DiskMiB, ReasonDisk, "disk %d MiB < %d MiB wanted", c.DiskMiB, r.DiskMiB)
	key, _ := o.Payment.Key()
	add(n.Stakes[key] < n.stake(), ReasonStake, "%s NTX at stake beside its open lots < %s wanted", FormatNTX(n.Stakes[key]), FormatNTX(n.stake()))
	if d := n.Disputes; d != nil {
		add(!d.Covered(n.price(o, 1), o.BondBps), ReasonBond, "its bond of %s of the price does not cover what losing a dispute takes: %s NTX and %s",
			percent(o.BondBps), FormatNTX(d.CostUNTX), percent(d.SlashBps))
		_, party := d.Attester(o.Peer)
		add(party || sameKey(d.Payee, o.Payment), ReasonOwner, "it is an attester of this job, or the payee of its disputes")
	}
	return why
}

// stake is what a provider must have at stake.
func (n Needs) stake() uint64 {
	if n.Disputes == nil {
		return n.MinStake
	}
	return max(n.MinStake, n.Disputes.StakeUNTX)
}

// price is what o takes for that many shards, in µNTX. The bounds of rates, times and shards keep it below 2^63.
func (n Needs) price(o Offer, shards uint32) uint64 {
	return o.RateUNTX * n.Run.Seconds() * uint64(shards)
}

func percent(bps uint16) string { return decimal(uint64(bps), 100) + " %" }

func cores(milli uint64) string { return decimal(milli, 1000) }
