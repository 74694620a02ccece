package market

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
)

// testDisputes are decided by two of three attesters.
func testDisputes(tb testing.TB) *Disputes {
	tb.Helper()
	d := &Disputes{Threshold: 2, Verdict: Hour, BondUNTX: 500, CostUNTX: 400, SlashBps: 500, StakeUNTX: 900, ShareBps: 10_000, Payee: newParty(tb, 90).addr}
	for n := byte(100); len(d.Attesters) < 3; n++ {
		a := Attester{Peer: newParty(tb, n).id, Addrs: []string{"/ip4/10.0.0.9/tcp/4001"}}
		if len(d.Attesters) == 0 || a.Peer > d.Attesters[len(d.Attesters)-1].Peer {
			d.Attesters = append(d.Attesters, a)
		}
	}
	return d
}

// disputable are terms of a job whose results can be disputed.
func disputable(tb testing.TB, req party, providers ...party) Terms {
	t := testTerms(tb, req, providers...)
	t.Kind, t.Task.Collective, t.Ring = General, false, []uint32{}
	t.VoucherKey, t.Disputes = Key{7}, testDisputes(tb)
	return t
}

func TestDisputableTerms(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	terms := disputable(t, req, a, b)
	data, err := terms.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeTerms(data); err != nil || !reflect.DeepEqual(back, terms) {
		t.Fatalf("%v\n%+v\n%+v", err, back, terms)
	}
	for what, change := range map[string]func(*Terms){
		"training":            func(t *Terms) { t.Kind, t.Task.Collective, t.Ring = Training, true, []uint32{0, 1} },
		"no voucher key":      func(t *Terms) { t.VoucherKey = Key{} },
		"requester is paid":   func(t *Terms) { t.Disputes.Payee = req.addr },
		"provider is paid":    func(t *Terms) { t.Disputes.Payee = a.addr },
		"payee elsewhere":     func(t *Terms) { t.Disputes.Payee = chain.Enterprise(chain.Network{ID: 1}, chain.KeyHash{1}) },
		"payee is a script":   func(t *Terms) { t.Disputes.Payee = chain.ScriptAddress(chain.Network{}, testPolicy) },
		"requester attests":   func(t *Terms) { t.Disputes.Attesters, t.Disputes.Threshold = []Attester{{req.id, []string{"/a"}}}, 1 },
		"provider attests":    func(t *Terms) { t.Disputes.Attesters, t.Disputes.Threshold = []Attester{{a.id, []string{"/a"}}}, 1 },
		"nobody attests":      func(t *Terms) { t.Disputes.Attesters = nil },
		"attesters unordered": func(t *Terms) { x := t.Disputes.Attesters; x[0], x[1] = x[1], x[0] },
		"attester twice":      func(t *Terms) { x := t.Disputes.Attesters; x[1] = x[0] },
		"attester nowhere":    func(t *Terms) { t.Disputes.Attesters[0].Addrs = nil },
		"attester's address":  func(t *Terms) { t.Disputes.Attesters[0].Addrs = []string{strings.Repeat("x", 129)} },
		"half decide":         func(t *Terms) { t.Disputes.Threshold = 1 },
		"more than all":       func(t *Terms) { t.Disputes.Threshold = 4 },
		"no cost":             func(t *Terms) { t.Disputes.CostUNTX = 0 },
		"cost over bond":      func(t *Terms) { t.Disputes.CostUNTX = 501 },
		"share over price":    func(t *Terms) { t.Disputes.ShareBps = 10_001 },
		"bond does not cover": func(t *Terms) { t.Disputes.CostUNTX, t.Disputes.BondUNTX, t.Disputes.SlashBps = 600, 600, 1100 },
		"no time to run":      func(t *Terms) { t.Disputes.Verdict = 29 * Minute },
	} {
		terms := disputable(t, req, a, b)
		change(&terms)
		if err := terms.Validate(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestDisputesAreQuoted(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	terms, r, q := disputable(t, req, a, b), testRequest(req), testQuote(t, a, req)
	r.Kind, r.Disputes = General, testDisputes(t)
	if err := terms.CheckQuoted(r, q); err != nil {
		t.Error(err)
	}
	terms.Disputes.SlashBps++
	if err := terms.CheckQuoted(r, q); err == nil {
		t.Error("other disputes than were asked for")
	}
	terms.Disputes = nil
	if err := terms.CheckQuoted(r, q); err == nil {
		t.Error("no disputes, some were asked for")
	}
}

func TestMatchWantsBonds(t *testing.T) {
	n := Needs{
		Now: testNow, Magic: testMagic, Contracts: testPolicy, Image: testImage, Shards: 2, Resources: Resources{1000, 1024, 1024},
		Run: 10 * Minute, Budget: 1 << 40, Disputes: testDisputes(t),
	}
	n.Disputes.StakeUNTX = 0
	a, b := newParty(t, 2).offer(), newParty(t, 3).offer()
	if p := Match(n, []Offer{a, b}); !p.OK() {
		t.Errorf("%+v", p)
	}
	b.BondBps, b.PenaltyBps = 600, 600 // 360 of a price of 6000; a dispute costs 400 and 300
	if p := Match(n, []Offer{b}); p.OK() || p.Rejected[0].Reasons[0].Code != ReasonBond {
		t.Errorf("%+v", p.Rejected)
	}
	key, _ := a.Payment.Key()
	for _, c := range []struct {
		of, have, least uint64
		ok              bool
	}{{7000, 7000, 0, true}, {7000, 6999, 0, false}, {0, 6999, 7000, false}, {6000, 7000, 7000, true}} {
		n.Disputes.StakeUNTX, n.MinStake, n.Stakes = c.of, c.least, map[chain.KeyHash]uint64{key: c.have}
		p := Match(n, []Offer{a})
		if p.OK() != c.ok || !c.ok && p.Rejected[0].Reasons[0].Code != ReasonStake {
			t.Errorf("%+v: %+v", c, p.Rejected)
		}
	}
	n.Disputes.StakeUNTX, n.MinStake = 0, 0
	n.Disputes.Verdict = 30 * Minute // one shard can be run again, two cannot
	if p := Match(n, []Offer{a}); p.OK() {
		t.Errorf("%+v", p.Chosen)
	}
}

func TestParseDisputes(t *testing.T) {
	d := testDisputes(t)
	job := func(verify string) string {
		return "version: 1\nname: n\nimage: i\nrun: r\nbudget: {max_ntx: 1}\ntimeouts: {run: 10m}\nverify: {" + verify + "}\n"
	}
	names := make([]string, len(d.Attesters))
	for i, a := range d.Attesters {
		names[len(names)-1-i] = a.Addrs[0] + "/p2p/" + a.Peer.String()
	}
	whole := fmt.Sprintf(`policy: review, attesters: [%s], threshold: 2, verdict_window: 1h, dispute_bond_ntx: 0.0005, dispute_cost_ntx: 0.0004,
  payee: %s, slash_percent: 5, share_percent: 100, stake_ntx: 0.0009, min_stake_ntx: 2`, strings.Join(names, ", "), d.Payee)
	j, err := ParseJob([]byte(job(whole)))
	if err != nil || !reflect.DeepEqual(j.Disputes, d) || j.MinStake != 2*UNTX || j.Verify != VerifyReview {
		t.Fatalf("%v\n%+v\n%+v", err, j.Disputes, d)
	}
	short := fmt.Sprintf("attesters: [%s], dispute_cost_ntx: 1, payee: %s", strings.Join(names, ", "), d.Payee)
	j, err = ParseJob([]byte(job(short)))
	if err != nil || j.Disputes.Threshold != 2 || j.Disputes.BondUNTX != UNTX || j.Disputes.Verdict != 2*Hour || j.Disputes.ShareBps != 10_000 {
		t.Fatalf("%v %+v", err, j.Disputes)
	}
	if j, err := ParseJob([]byte(job(short + ", audit_percent: 2.5"))); err != nil || j.AuditBps != 250 || j.Verify != VerifyAccept || !j.Waits() {
		t.Errorf("%v %+v", err, j)
	}
	if j, err := ParseJob([]byte(job("policy: review"))); err != nil || j.Disputes != nil {
		t.Errorf("%v %+v", err, j.Disputes)
	}
	for _, bad := range [][2]string{
		{"dispute_cost_ntx: 1", "no disputes without attesters"},
		{strings.Replace(short, "dispute_cost_ntx: 1, ", "", 1), "verify.dispute_cost_ntx: missing"},
		{strings.Replace(short, ", payee: "+d.Payee.String(), "", 1), "verify.payee: missing"},
		{short + ", dispute_bond_ntx: 0.5", "0.5 NTX do not pay for losing a dispute, which costs 1"},
		{short + ", threshold: 1", "1 of 3 attesters"},
		{short + ", verdict_window: 29m", "want at least 30m, 3 × timeouts.run"},
		{short + ", slash_percent: 101", "from 0 to 100"},
		{short + ", slash_percent: 1.234", "two decimals"},
		{short + ", audit_percent: 5, window: 19m", "want at least 20m, 2 × timeouts.run"},
		{"audit_percent: 5", "no disputes without attesters"},
		{strings.Replace(short, "/p2p/", "/", 1), "ends in /p2p/PEER"},
		{strings.Replace(short, names[0], names[1], 1), "an address twice"},
		{strings.Replace(short, d.Payee.String(), "addr1x", 1), "want the address of a key"},
	} {
		if _, err := ParseJob([]byte(job(bad[0]))); err == nil || !strings.Contains(err.Error(), bad[1]) {
			t.Errorf("%s: %v", bad[0], err)
		}
	}
	training := strings.Replace(job(short), "name: n", "name: n\nkind: training", 1)
	if _, err := ParseJob([]byte(training)); err == nil || !strings.Contains(err.Error(), "no disputes yet") {
		t.Errorf("%v", err)
	}
}
