package submit_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/submit"
)

// network is a ledger in memory, as a node and as what a wallet has read of the chain so far.
type network struct {
	*testing.T
	*chaintest.Ledger
	down   error // what every submission fails with
	hidden int   // events that the wallet has not read yet
	us     chaintest.Actor
	asked  chan struct{} // gets a token when a transaction is handed in
}

func newNetwork(t *testing.T, us chaintest.Actor, coins ...chain.UTxO) *network {
	return &network{T: t, us: us, asked: make(chan struct{}, 1), Ledger: chaintest.New(chaintest.Params(), chaintest.Clock(), chaintest.Network(), coins)}
}

// node is the network as a submit.Node.
type node struct{ *network }

func (n node) Submit(_ context.Context, tx []byte) error {
	defer func() {
		select {
		case n.asked <- struct{}{}:
		default:
		}
	}()
	if n.down != nil {
		return n.down
	}
	return n.Ledger.Submit(tx)
}

func (n node) InMempool(_ context.Context, id chain.TxID) (bool, error) {
	return n.Ledger.InMempool(id), n.down
}

func (n node) Tip(context.Context) (chain.Point, error) { return n.Ledger.Tip(), nil }

// view is the network as a submit.Chain.
type view struct{ *network }

func (v view) blocks() (bs []chain.Block) {
	events := v.Events(0)
	for _, e := range events[:len(events)-v.hidden] {
		if e.Block != nil {
			bs = append(bs, *e.Block)
			continue
		}
		bs = slices.DeleteFunc(bs, func(b chain.Block) bool { return b.Slot > e.Rollback.Slot })
	}
	return bs
}

func (v view) Tip() chain.Slot {
	bs := v.blocks()
	if len(bs) == 0 {
		return 0
	}
	return bs[len(bs)-1].Slot
}

func (v view) Confirmations(_ context.Context, id chain.TxID) (uint64, error) {
	bs := v.blocks()
	for i, b := range bs {
		if slices.ContainsFunc(b.Txs, func(t chain.BlockTx) bool { return t.ID == id }) {
			return uint64(len(bs) - i), nil
		}
	}
	return 0, nil
}

func (v view) Fate(_ context.Context, ref chain.OutRef) (f submit.Fate, err error) {
	f.Known = ref.Tx == v.us.Coin(0, chain.Value{}).Ref.Tx
	for _, b := range v.blocks() {
		for _, tx := range b.Txs {
			f.Known = f.Known || tx.ID == ref.Tx
			if slices.Contains(tx.Inputs, ref) {
				f.By, f.Ours = &tx.ID, slices.Contains(tx.Witnesses, v.us.Hash)
			}
		}
	}
	return f, nil
}

// pay is a signed payment of one coin by all the actors.
func (n *network) pay(coin chain.Lovelace, until chain.Slot, in []chain.UTxO, by ...chaintest.Actor) *chain.Tx {
	n.Helper()
	d := chain.Draft{Until: until, Outputs: []chain.Output{{Address: chaintest.NewActor("shop").Address, Value: chain.Coins(coin)}}}
	for _, u := range in {
		d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
	}
	tx, err := chain.Balance(d, nil, n.us.Address, nil, n.Params(), n.Clock(), n.Network())
	if err != nil {
		n.Fatal(err)
	}
	for _, a := range by {
		if err := a.Sign(tx); err != nil {
			n.Fatal(err)
		}
	}
	return tx
}

func (n *network) block() {
	n.Helper()
	if _, err := n.Forge(1); err != nil {
		n.Fatal(err)
	}
}

// wants submits and holds the outcome against what it should be.
func (n *network) wants(want chain.Outcome, tx *chain.Tx) *chain.SubmitError {
	n.Helper()
	s := submit.Submitter{Node: node{n}, Chain: view{n}}
	got, err := s.Submit(n.Context(), tx.Bytes())
	var e *chain.SubmitError
	if got != want || errors.As(err, &e) == want.Taken() || e != nil && (e.Outcome != want || e.Tx != tx.ID()) {
		n.Fatalf("%s: %v; want %s", got, err, want)
	}
	return e
}

const ada = 1_000_000

// TestOutcomes: each thing that can become of a transaction is told apart from the others.
func TestOutcomes(t *testing.T) {
	us, them := chaintest.NewActor("us"), chaintest.NewActor("them")
	mine, joint, theirs := us.Coin(0, chain.Coins(50*ada)), us.Coin(1, chain.Coins(50*ada)), them.Coin(0, chain.Coins(50*ada))
	n := newNetwork(t, us, mine, joint, theirs)
	n.block()
	tx := n.pay(5*ada, 100, []chain.UTxO{mine}, us)
	n.wants(chain.Accepted, tx)
	n.wants(chain.Waiting, tx)
	n.block()
	n.wants(chain.Included, tx)

	n.hidden = 1 // the node has the block, we have not read it yet
	n.wants(chain.NotNow, tx)
	n.hidden = 0

	again := n.pay(6*ada, 100, []chain.UTxO{mine}, us)
	if e := n.wants(chain.SpentByUs, again); *e.By != tx.ID() || *e.Input != mine.Ref {
		t.Errorf("spent by %s, %s", e.By, e.Input)
	}
	// One input of two is a stranger's, and the stranger has spent it elsewhere.
	both := n.pay(60*ada, 100, []chain.UTxO{joint, theirs}, us, them)
	other := n.pay(7*ada, 100, []chain.UTxO{theirs}, them)
	n.wants(chain.Accepted, other)
	n.block()
	if e := n.wants(chain.SpentByOthers, both); *e.By != other.ID() || *e.Input != theirs.Ref {
		t.Errorf("spent by %s, %s", e.By, e.Input)
	}
	unmade := them.Coin(9, chain.Coins(50*ada))
	if e := n.wants(chain.SpentByOthers, n.pay(60*ada, 100, []chain.UTxO{joint, unmade}, us, them)); e.By != nil || *e.Input != unmade.Ref {
		t.Errorf("spent by %s, %s", e.By, e.Input)
	}

	late := n.pay(5*ada, n.Slot()+2, []chain.UTxO{joint}, us)
	n.Tick(5)
	n.wants(chain.Expired, late) // the node knows; our last block is older
	n.block()
	n.hidden = 1
	n.wants(chain.NotNow, late) // the block that we have not read may have it
	n.hidden = 0
	n.wants(chain.Expired, late)

	unsigned := n.pay(5*ada, 1000, []chain.UTxO{joint}, us)
	bare, err := chain.DecodeTx(n.pay(6*ada, 1000, []chain.UTxO{joint}).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	e := n.wants(chain.Refused, bare)
	if rules := chain.Broken(e); len(rules) != 1 || rules[0].Rule != "MissingVKeyWitnessesUTXOW" || !errors.Is(e, chain.ErrLedgerRule) {
		t.Errorf("rules %v in %v", rules, e)
	}
	n.down = errors.New("pipe broken")
	n.wants(chain.Unknown, unsigned)
	n.down = errors.Join(chain.ErrRejected, errors.New("mempool full"))
	n.wants(chain.NotNow, unsigned)
	n.down = nil
	n.wants(chain.Accepted, unsigned)
}

// TestLand: a transaction gets into the chain through a lost connection, a lost mempool and rollbacks, once.
func TestLand(t *testing.T) {
	us := chaintest.NewActor("us")
	n := newNetwork(t, us, us.Coin(0, chain.Coins(50*ada)))
	n.block()
	tx := n.pay(5*ada, 1000, []chain.UTxO{us.Coin(0, chain.Coins(50*ada))}, us)
	n.Fail(chaintest.Faults{Refuse: errors.New("pipe broken"), Lose: 1})
	s := submit.Submitter{Node: node{n}, Chain: view{n}}
	landed := make(chan error, 1)
	go func() { landed <- s.Land(t.Context(), tx.Bytes(), 3) }()
	undone := 0
	for {
		depth, err := view{n}.Confirmations(t.Context(), tx.ID())
		if err != nil {
			t.Fatal(err)
		}
		if depth == 2 && undone < 3 { // every time it is two deep, three times
			undone++
			depth = 0
			if err := n.Rollback(2); err != nil {
				t.Fatal(err)
			}
		}
		var asked chan struct{} // a block is made when there is something for it, or the transaction is to get deeper
		if depth == 0 {
			asked = n.asked
		}
		if asked == nil && depth < 3 {
			n.block()
			continue
		}
		select {
		case <-asked:
			n.block()
		case err := <-landed:
			if err != nil || depth < 3 || undone != 3 {
				t.Fatalf("depth %d after %d rollbacks: %v", depth, undone, err)
			}
			return
		}
	}
}

// TestLandGivesUp: what can never come is not waited for.
func TestLandGivesUp(t *testing.T) {
	us := chaintest.NewActor("us")
	n := newNetwork(t, us, us.Coin(0, chain.Coins(50*ada)))
	n.block()
	tx := n.pay(5*ada, 3, []chain.UTxO{us.Coin(0, chain.Coins(50*ada))}, us)
	n.Tick(5)
	n.block()
	s := submit.Submitter{Node: node{n}, Chain: view{n}}
	err := s.Land(t.Context(), tx.Bytes(), 1)
	var e *chain.SubmitError
	if !errors.As(err, &e) || e.Outcome != chain.Expired {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Land(ctx, n.pay(5*ada, 1000, []chain.UTxO{us.Coin(0, chain.Coins(50*ada))}, us).Bytes(), 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
