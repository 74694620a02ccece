//go:build bench

package index_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet"
)

// The traffic's payer, who is paid by all but each tenth payment, and who is paid by that.
var payer, often, seldom = newActor(1), newActor(2), newActor(3)

const (
	trafficFunds = 20_000_000_000_000
	trafficSlot  = 50 * time.Millisecond // the shortest there is
	trafficEpoch = 12_000
	slowdown     = 20 // slots from block to block while payments are behind

	// Payments are so many blocks' worth ahead of the chain, which is longer by a few when the last are in a block.
	leastAhead, mostAhead = 20, 30
)

// trafficConfig is whose outputs the traffic makes, the one that few go to last, and what was there before it.
func trafficConfig() (all []index.Credential, base index.Base) {
	return []index.Credential{index.PaymentOf(payer.addr), index.PaymentOf(often.addr), index.PaymentOf(seldom.addr)},
		index.Base{UTxOs: []chain.UTxO{genesisOutput(payer.addr, trafficFunds)}}
}

// traffic is a devnet's chain of payments.
type traffic struct {
	node     *testnet.NodeProcess
	blocks   []rawBlock
	payments int
}

// forgeTraffic has a devnet forge so many blocks of signed payments, benchPerBlock a block on average, each with one input,
// a payment and change, and takes their bytes from it.
func forgeTraffic(t *testing.T, length int) *traffic {
	t.Helper()
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: t.TempDir(), Magic: network.Magic, SlotLength: trafficSlot, EpochLength: trafficEpoch,
		Funds: map[chain.Address]chain.Lovelace{payer.addr: trafficFunds},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(context.Background()) })
	n, err := node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: network})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	tr := &traffic{node: p}
	tr.pay(t, n, length)
	tr.hold(t)
	tip, err := p.Producers[0].Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tr.blocks = captureTo(t, p.Socket, func(b rawBlock) bool { return hex.EncodeToString(b.point.Hash) == tip.Hash })
	return tr
}

// hold keeps the devnet from adding blocks for the next minutes.
func (tr *traffic) hold(t *testing.T) {
	t.Helper()
	if err := tr.node.Producers[0].Stall(t.Context(), trafficEpoch/2*trafficSlot); err != nil {
		t.Fatal(err)
	}
}

// pay feeds payments to the devnet until there are so many blocks, and all payments in blocks. Blocks wait for payments where
// those are slower.
func (tr *traffic) pay(t *testing.T, n *node.Node, length int) {
	t.Helper()
	ctx, producer := t.Context(), tr.node.Producers[0]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l := lane{coin: genesisOutput(payer.addr, trafficFunds)}
	var err error
	l.params, err = n.Params(ctx)
	must(err)
	l.clock, err = n.Clock(ctx)
	must(err)
	var last chain.TxID
	slow, began := false, time.Now()
	for {
		tip, err := producer.Tip(ctx)
		must(err)
		height := int(tip.Height)
		behind := tr.payments < benchPerBlock*(height+leastAhead)
		if behind != slow {
			every := time.Duration(0)
			if behind {
				every = slowdown * trafficSlot
			}
			must(producer.Slow(ctx, every))
			slow = behind
		}
		if height >= length && !behind {
			break
		}
		if tr.payments >= benchPerBlock*(height+mostAhead) {
			time.Sleep(trafficSlot / 2)
			continue
		}
		for range benchPerBlock {
			to := often
			if tr.payments%10 == 0 {
				to = seldom
			}
			last = l.pay(t, n, chain.Slot(tip.Slot), to)
			tr.payments++
		}
		if tr.payments%(100*benchPerBlock) == 0 {
			t.Logf("%d payments, block %d of %d, after %s", tr.payments, height, length, time.Since(began).Round(time.Second))
		}
	}
	must(producer.Slow(ctx, slowdown*trafficSlot)) // what comes after the payments is empty
	for waits := true; waits; time.Sleep(trafficSlot) {
		var err error
		waits, err = n.InMempool(ctx, last)
		must(err)
	}
}

// lane is a row of payments, each out of the change of the one before.
type lane struct {
	coin   chain.UTxO
	params chain.Params
	clock  chain.Clock
}

func (l *lane) pay(t *testing.T, n *node.Node, tip chain.Slot, to actor) chain.TxID {
	t.Helper()
	d := chain.Draft{Outputs: []chain.Output{{Address: to.addr, Value: chain.Coins(1_500_000)}}, From: tip, Until: tip + 3000}
	tx, err := chain.Balance(d, []chain.UTxO{l.coin}, payer.addr, nil, l.params, l.clock, network)
	if err != nil {
		t.Fatal(err)
	}
	id := tx.ID()
	if err := tx.AddWitness(payer.key.Public().(ed25519.PublicKey), ed25519.Sign(payer.key, id[:])); err != nil {
		t.Fatal(err)
	}
	made, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for tries := 0; ; tries++ {
		err := n.Submit(t.Context(), tx.Bytes())
		if err == nil {
			break
		}
		// Between a block and its application the coin is neither waiting nor there.
		if !errors.Is(err, node.ErrRejected) || tries == 100 {
			t.Fatal(err)
		}
		time.Sleep(trafficSlot)
	}
	l.coin = made.Outputs[len(made.Outputs)-1]
	return id
}
