package market

import (
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"gopkg.in/yaml.v3"

	"github.com/tallycompute/tally/chain"
)

// verify reads how results are approved and, if attesters are named, how disputes over them end.
func (r *reader) verify(n *yaml.Node, p string, j *Job) {
	d := Disputes{Verdict: 2 * Hour, ShareBps: 10_000}
	var only *yaml.Node // some key that means nothing without attesters
	dispute := func(read func(n *yaml.Node, p string)) func(*yaml.Node, string) {
		return func(n *yaml.Node, p string) { only = n; read(n, p) }
	}
	r.mapping(n, p, []field{
		{"policy", func(n *yaml.Node, p string) {
			if s, ok := r.oneOf(n, p, []string{string(VerifyAccept), string(VerifyReview)}, "replay", "replicas"); ok {
				j.Verify = Verify(s)
			}
		}, ""},
		{"window", func(n *yaml.Node, p string) {
			if m, ok := r.span(n, p, Second, maxRun); ok {
				j.Window = m
			}
		}, ""},
		{"audit_percent", dispute(func(n *yaml.Node, p string) { r.percent(n, p, &j.AuditBps) }), ""},
		{"attesters", func(n *yaml.Node, p string) {
			r.list(n, p, MaxAttesters*maxAttesterAddrs, func(n *yaml.Node, p string) { r.attester(n, p, &d.Attesters) })
		}, ""},
		{"threshold", dispute(func(n *yaml.Node, p string) {
			if v, ok := r.count(n, p, 1, MaxAttesters); ok {
				d.Threshold = uint8(v)
			}
		}), ""},
		{"verdict_window", dispute(func(n *yaml.Node, p string) {
			if m, ok := r.span(n, p, Second, maxRun); ok {
				d.Verdict = m
			}
		}), ""},
		{"dispute_cost_ntx", dispute(func(n *yaml.Node, p string) { r.ntx(n, p, &d.CostUNTX) }), ""},
		{"dispute_bond_ntx", dispute(func(n *yaml.Node, p string) { r.ntx(n, p, &d.BondUNTX) }), ""},
		{"payee", dispute(func(n *yaml.Node, p string) { r.address(n, p, &d.Payee) }), ""},
		{"slash_percent", dispute(func(n *yaml.Node, p string) { r.percent(n, p, &d.SlashBps) }), ""},
		{"stake_ntx", dispute(func(n *yaml.Node, p string) { r.ntx(n, p, &d.StakeUNTX) }), ""},
		{"min_stake_ntx", func(n *yaml.Node, p string) { r.ntx(n, p, &j.MinStake) }, ""},
		{"share_percent", dispute(func(n *yaml.Node, p string) { r.percent(n, p, &d.ShareBps) }), ""},
	}, "sample", "replicas")
	switch {
	case len(d.Attesters) > 0:
		j.Disputes = &d
	case only != nil && value(n, "attesters") == nil:
		r.fail(only, p, "there are no disputes without attesters; name some: attesters: [/ip4/…/p2p/…]")
	}
}

// auditRuns is how many times timeouts.run a window is at least in which a shard is run again before it is called wrong.
const auditRuns = 2

// disputes fills in what follows from the rest of the job, and checks what was written against it.
func (r *reader) disputes(n *yaml.Node, j *Job) {
	d, p := j.Disputes, "verify"
	if d.Threshold == 0 {
		d.Threshold = uint8(len(d.Attesters)/2 + 1)
	}
	if d.BondUNTX == 0 {
		d.BondUNTX = d.CostUNTX
	}
	slices.SortFunc(d.Attesters, func(a, b Attester) int { return strings.Compare(string(a.Peer), string(b.Peer)) })
	least := VerdictRuns * j.Timeouts.Run
	switch {
	case j.Kind == Training:
		r.fail(n, p+".attesters", "a shard of a training job cannot be run again alone: such jobs have no disputes yet")
	case len(d.Attesters) > MaxAttesters:
		r.fail(n, p+".attesters", "%d attesters, at most %d", len(d.Attesters), MaxAttesters)
	case int(d.Threshold) > len(d.Attesters) || 2*int(d.Threshold) <= len(d.Attesters):
		r.fail(n, p+".threshold", "%d of %d attesters: want more than half, and no more than there are", d.Threshold, len(d.Attesters))
	case d.CostUNTX == 0:
		r.fail(n, p+".dispute_cost_ntx", "missing; say what the loser of a dispute pays for the attesters' work, in NTX")
	case d.CostUNTX > d.BondUNTX:
		r.fail(n, p+".dispute_bond_ntx", "%s NTX do not pay for losing a dispute, which costs %s", FormatNTX(d.BondUNTX), FormatNTX(d.CostUNTX))
	case d.Payee.IsZero():
		if value(n, "payee") == nil {
			r.fail(n, p+".payee", "missing; say which address gets the cost of a dispute")
		}
	case j.AuditBps > 0 && j.Kind == Training:
		r.fail(n, p+".audit_percent", "a shard of a training job cannot be run again alone")
	case j.AuditBps > 0 && j.Window < auditRuns*j.Timeouts.Run:
		r.fail(n, p+".window", "%s: want at least %s, %d × timeouts.run, in which a shard is run again here", j.Window, auditRuns*j.Timeouts.Run, auditRuns)
	case d.Verdict < least:
		r.fail(n, p+".verdict_window", "%s: want at least %s, %d × timeouts.run, in which attesters run a shard again", d.Verdict, least, VerdictRuns)
	default:
		if err := d.Validate(); err != nil {
			r.fail(n, p, "%v", err)
		}
	}
}

// attester reads /ip4/…/p2p/PEER, one more address of an attester, or the first.
func (r *reader) attester(n *yaml.Node, p string, all *[]Attester) {
	s, ok := r.text(n, p, maxAttesterAddr+64)
	if !ok {
		return
	}
	addr, name, cut := strings.Cut(s, "/p2p/")
	id, err := peer.Decode(name)
	if !cut || err != nil || !strings.HasPrefix(addr, "/") || !plain(addr, maxAttesterAddr) {
		r.fail(n, p, "%q: want a multiaddress that ends in /p2p/PEER, as tally attest prints it", s)
		return
	}
	i := slices.IndexFunc(*all, func(a Attester) bool { return a.Peer == id })
	if i < 0 {
		i = len(*all)
		*all = append(*all, Attester{Peer: id})
	}
	a := &(*all)[i]
	if slices.Contains(a.Addrs, addr) || len(a.Addrs) == maxAttesterAddrs {
		r.fail(n, p, "attester %s: an address twice, or more than %d", id, maxAttesterAddrs)
		return
	}
	a.Addrs = append(a.Addrs, addr)
}

// ntx reads an amount of NTX above 0.
func (r *reader) ntx(n *yaml.Node, p string, untx *uint64) {
	s, ok := r.text(n, p, 64)
	if !ok {
		return
	}
	v, err := ParseNTX(s)
	switch {
	case err != nil:
		r.fail(n, p, "%v", err)
	case v == 0 || v > maxPrice:
		r.fail(n, p, "want more than 0 NTX, and at most %s", FormatNTX(maxPrice))
	default:
		*untx = v
	}
}

// percent reads 0 to 100 with at most two decimals.
func (r *reader) percent(n *yaml.Node, p string, bps *uint16) {
	s, ok := r.text(n, p, 16)
	if !ok {
		return
	}
	v, err := ParseNTX(s) // a decimal, in millionths
	if err != nil || v > 100*UNTX || v%(UNTX/100) != 0 {
		r.fail(n, p, "%q: want a number from 0 to 100 with at most two decimals", s)
		return
	}
	*bps = uint16(v / (UNTX / 100))
}

func (r *reader) address(n *yaml.Node, p string, a *chain.Address) {
	s, ok := r.text(n, p, 256)
	if !ok {
		return
	}
	v, err := chain.ParseAddress(s)
	if _, key := v.Key(); err != nil || !key {
		r.fail(n, p, "%q: want the address of a key, such as addr1…", s)
		return
	}
	*a = v
}
