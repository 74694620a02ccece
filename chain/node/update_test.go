package node_test

import (
	"context"
	"crypto/ed25519"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

const updateEpoch = 160 // slots

// TestLiveUpdate: while we run, a ledger changes its fees, its cost model and the protocol's version. The watcher tells; what
// was built before is refused by the ledger's rules; what is built with the node's new answers is taken.
func TestLiveUpdate(t *testing.T) {
	k, rich := key(1)
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: t.TempDir(), Magic: magic, SlotLength: 50 * time.Millisecond, EpochLength: updateEpoch, Funds: map[chain.Address]chain.Lovelace{rich: funds},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(context.Background())
	n := dial(t, node.Config{Socket: p.Socket})
	w := watchNode(t, n)
	m := minter{T: t, n: n, key: k, address: rich}
	m.splitOffCollateral()

	before, err := n.Params(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	costs := slices.Clone(before.CostModelV3)
	costs[0]++
	old := m.mintAhead()
	if _, err := p.Producers[0].Enact(t.Context(), map[string]string{"txFeePerByte": "60", "costModelV3": commas(costs), "protocolMajor": "11"}); err != nil {
		t.Fatal(err)
	}
	w.until(node.Ready, "protocol parameters changed", "fee_per_byte 44 → 60", "cost_model_v3", "hard fork", "protocol=11.0", "was=10.0")
	m.refused(old, "FeeTooSmallUTxO", "ScriptIntegrityHashMismatch")
	m.taken(m.mint())
}

func commas(ns []int64) string {
	var parts []string
	for _, n := range ns {
		parts = append(parts, strconv.FormatInt(n, 10))
	}
	return strings.Join(parts, ",")
}

// minter mints tokens, by a script and so under a cost model.
type minter struct {
	*testing.T
	n       *node.Node
	key     ed25519.PrivateKey
	address chain.Address
	apart   []chain.UTxO // collateral
}

// build balances and signs a draft with the node's present answers, valid to the horizon.
func (m *minter) build(d chain.Draft) *chain.Tx {
	m.Helper()
	s, err := m.n.Status(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	return m.buildAt(d, s)
}

func (m *minter) buildAt(d chain.Draft, s node.Status) *chain.Tx {
	m.Helper()
	us, err := m.n.UTxOs(m.Context(), m.address)
	if err != nil {
		m.Fatal(err)
	}
	if len(m.apart) > 0 {
		us = slices.DeleteFunc(us, func(u chain.UTxO) bool { return u.Ref == m.apart[0].Ref })
	}
	d.From, d.Until = s.Tip.Slot, s.Clock.Horizon
	tx, err := chain.Balance(d, us, m.address, m.apart, s.Params, s.Clock, network)
	if err != nil {
		m.Fatal(err)
	}
	id := tx.ID()
	if err := tx.AddWitness(m.key.Public().(ed25519.PublicKey), ed25519.Sign(m.key, id[:])); err != nil {
		m.Fatal(err)
	}
	return tx
}

func (m *minter) mint() *chain.Tx { return m.build(m.draft()) }

func (m *minter) draft() chain.Draft {
	m.Helper()
	d, err := testnet.MintTestNTX(chain.HashKey(m.key.Public().(ed25519.PublicKey)), 7, 0, 0)
	if err != nil {
		m.Fatal(err)
	}
	return d
}

// mintAhead waits for the first half of an epoch and builds there what is valid up to the end of the next, which is within
// the horizon when that has begun.
func (m *minter) mintAhead() *chain.Tx {
	m.Helper()
	for {
		s, err := m.n.Status(m.Context())
		if err != nil {
			m.Fatal(err)
		}
		if s.Tip.Slot%updateEpoch < updateEpoch/2 {
			s.Clock.Horizon = (s.Tip.Slot/updateEpoch + 2) * updateEpoch
			return m.buildAt(m.draft(), s)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (m *minter) splitOffCollateral() {
	m.Helper()
	const lovelace = 10_000_000
	m.taken(m.build(chain.Draft{Outputs: []chain.Output{{Address: m.address, Value: chain.Coins(lovelace)}}}))
	us, err := m.n.UTxOs(m.Context(), m.address)
	if err != nil {
		m.Fatal(err)
	}
	for _, u := range us {
		if u.Value.Coin == lovelace {
			m.apart = []chain.UTxO{u}
		}
	}
}

// refused submits what the ledger must refuse by all these rules.
func (m *minter) refused(tx *chain.Tx, rules ...string) {
	m.Helper()
	err := m.n.Submit(m.Context(), tx.Bytes())
	var broken []string
	for _, r := range chain.Broken(err) {
		broken = append(broken, r.Rule)
	}
	for _, r := range rules {
		if !slices.Contains(broken, r) {
			m.Errorf("refused by %q, not by %s: %v", broken, r, err)
		}
	}
}

// taken submits it and waits until its output is there.
func (m *minter) taken(tx *chain.Tx) {
	m.Helper()
	if err := m.n.Submit(m.Context(), tx.Bytes()); err != nil {
		m.Fatal(err)
	}
	for give := time.Now().Add(30 * time.Second); time.Now().Before(give); time.Sleep(5 * time.Millisecond) {
		us, err := m.n.UTxOs(m.Context(), m.address)
		if err != nil {
			m.Fatal(err)
		}
		if slices.ContainsFunc(us, func(u chain.UTxO) bool { return u.Ref.Tx == tx.ID() }) {
			return
		}
	}
	m.Fatal("never in a block")
}
