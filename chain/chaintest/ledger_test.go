package chaintest

import (
	"errors"
	"testing"

	"github.com/tallycompute/tally/chain"
)

func pay(t *testing.T, l *Ledger, from, to Actor, until chain.Slot) *chain.Tx {
	t.Helper()
	d := chain.Draft{Outputs: []chain.Output{{Address: to.Address, Value: chain.Coins(5_000_000)}}, Until: until}
	tx, err := chain.Balance(d, l.UTxOs(from.Address), from.Address, nil, l.Params(), l.Clock(), l.Network())
	if err != nil {
		t.Fatal(err)
	}
	if err := from.Sign(tx); err != nil {
		t.Fatal(err)
	}
	return tx
}

func forge(t *testing.T, l *Ledger, n chain.Slot) chain.Block {
	t.Helper()
	b, err := l.Forge(n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLedger(t *testing.T) {
	alice, bob := NewActor("alice"), NewActor("bob")
	l := New(Params(), Clock(), Network(), []chain.UTxO{alice.Coin(0, chain.Coins(30_000_000))})
	first := forge(t, l, 3)
	tx := pay(t, l, alice, bob, 100)
	if err := errors.Join(l.Submit(tx.Bytes()), l.Submit(tx.Bytes())); err != nil {
		t.Fatal(err)
	}
	other := pay(t, l, alice, alice, 99)
	var rule *chain.RuleError
	if err := l.Submit(other.Bytes()); !errors.As(err, &rule) || rule.Rule != "BadInputsUTxO" {
		t.Errorf("spent twice: %v", err)
	}
	b := forge(t, l, 1)
	if len(b.Txs) != 1 || b.Slot != 5 || b.Height != 2 || len(l.UTxOs(bob.Address)) != 1 || l.Tip() != b.Point {
		t.Fatalf("block %+v", b)
	}
	if got, want := l.Now(), Clock().SystemStart+5000; got != want {
		t.Errorf("now %d, want %d", got, want)
	}
	if err := l.Rollback(1); err != nil {
		t.Fatal(err)
	}
	if len(l.UTxOs(bob.Address)) != 0 || l.Tip() != first.Point {
		t.Errorf("rolled back to %v: %v", l.Tip(), l.UTxOs())
	}
	if got := l.Events(1); len(got) != 2 || got[0].Block.Hash != b.Hash || got[1].Block != nil || got[1].Rollback != first.Point {
		t.Errorf("events %+v", got)
	}
	if b := forge(t, l, 1); len(b.Txs) != 0 {
		t.Error("a transaction that was rolled back came back on its own")
	}
	if err := l.Rollback(3); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("rolled back before the start: %v", err)
	}
}

func TestFaults(t *testing.T) {
	alice, bob := NewActor("alice"), NewActor("bob")
	l := New(Params(), Clock(), Network(), []chain.UTxO{alice.Coin(0, chain.Coins(30_000_000))})
	tx := pay(t, l, alice, bob, 50)
	down := errors.New("node is down")
	l.Fail(Faults{Refuse: down, Lose: 1})
	if err := l.Submit(tx.Bytes()); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if err := l.Submit(tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	if b := forge(t, l, 1); len(b.Txs) != 0 {
		t.Error("a lost transaction came into a block")
	}
	if err := l.Submit(tx.Bytes()); err != nil {
		t.Fatal(err)
	}
	l.Tick(60)
	if b := forge(t, l, 1); len(b.Txs) != 0 {
		t.Error("an expired transaction came into a block")
	}
	var rule *chain.RuleError
	if err := l.Submit(tx.Bytes()); !errors.As(err, &rule) || rule.Rule != "OutsideValidityIntervalUTxO" {
		t.Errorf("expired: %v", err)
	}
}
