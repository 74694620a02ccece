//go:build bench

package index_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/index"
)

// The traffic's payer, who is paid by all but each tenth payment, and who is paid by that.
var payer, often, seldom = newActor(1), newActor(2), newActor(3)

// trafficConfig is whose outputs the traffic makes, the one that few go to last, and what was there before it.
func trafficConfig() (all []index.Credential, base index.Base) {
	return []index.Credential{index.PaymentOf(payer.addr), index.PaymentOf(often.addr), index.PaymentOf(seldom.addr)},
		index.Base{UTxOs: []chain.UTxO{genesisOutput(payer.addr, 20_000_000_000_000)}}
}

// newTraffic assembles Conway blocks of signed transactions, chained one to the other, each with one input, a payment
// and change. All is as a node would have it but the proofs in the headers, which no follower of its own node reads: at
// its shortest slots a devnet would take nine minutes for as many.
func newTraffic(t *testing.T, length int) (blocks []rawBlock) {
	t.Helper()
	_, base := trafficConfig()
	coin, prev := base.UTxOs[0], []byte(nil)
	for n := range length {
		var bodies, witnesses []cbor.RawMessage
		for i := range benchPerBlock {
			to := often
			if i%10 == 0 {
				to = seldom
			}
			var body, witness []byte
			body, witness, coin = payment(t, chain.Slot(n+1), payer, to, coin)
			bodies, witnesses = append(bodies, body), append(witnesses, witness)
		}
		b := assemble(t, uint64(n+1), prev, bodies, witnesses)
		blocks, prev = append(blocks, b), b.point.Hash
	}
	return blocks
}

// payment is a signed transaction out of a coin, and the change.
func payment(t *testing.T, tip chain.Slot, from, to actor, coin chain.UTxO) (body, witness []byte, change chain.UTxO) {
	t.Helper()
	d := chain.Draft{Outputs: []chain.Output{{Address: to.addr, Value: chain.Coins(1_500_000)}}, From: tip, Until: tip + 300}
	tx, err := chain.Balance(d, []chain.UTxO{coin}, from.addr, nil, chaintest.Params(), chaintest.Clock(), network)
	if err != nil {
		t.Fatal(err)
	}
	id := tx.ID()
	if err := tx.AddWitness(from.key.Public().(ed25519.PublicKey), ed25519.Sign(from.key, id[:])); err != nil {
		t.Fatal(err)
	}
	made, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	var parts []cbor.RawMessage
	if _, err := cbor.Decode(tx.Bytes(), &parts); err != nil {
		t.Fatal(err)
	}
	return tx.Body(), parts[1], made.Outputs[len(made.Outputs)-1]
}

// assemble makes a block (cardano-ledger, conway.cddl) whose number is its slot's.
func assemble(t *testing.T, number uint64, prev []byte, bodies, witnesses []cbor.RawMessage) rawBlock {
	t.Helper()
	encode := func(v any) cbor.RawMessage {
		b, err := cbor.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	parts := []cbor.RawMessage{encode(bodies), encode(witnesses), encode(map[uint64]any{}), encode([]uint64{})}
	var hashes []byte
	size := 0
	for _, p := range parts {
		h := blake2b.Sum256(p)
		hashes, size = append(hashes, h[:]...), size+len(p)
	}
	body := blake2b.Sum256(hashes)
	key, signature := make([]byte, 32), make([]byte, 64)
	header := encode([]any{
		[]any{
			number, number, prev, key, key,
			[]any{make([]byte, 64), make([]byte, 80)},
			size, body[:],
			[]any{key, 0, 0, signature},
			[]any{10, 0},
		},
		make([]byte, 448),
	})
	hash := blake2b.Sum256(header)
	return rawBlock{
		pcommon.NewPoint(number, hash[:]), conway.BlockTypeConway,
		encode(append([]cbor.RawMessage{header}, parts...)),
	}
}
