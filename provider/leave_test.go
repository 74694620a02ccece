package provider

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/plutus"
)

// meetings leave time for one in two blocks, and half a second for each of its questions.
var meetings = escrow.Policy{
	DeclineLead: 5_000, CommitLead: 60_000, Patience: 100_000, LeaveStep: 5_000, Meeting: 2000, Grace: 50_000,
}

// otherRoot is of the other provider's result.
var otherRoot = [32]byte{0x0e}

// shared is a slice of this provider and the other one, in a block, with this provider's result. Their requester is gone.
type shared struct {
	*deal
	from chain.Time // of the first meeting
}

func newShared(t *testing.T) *shared {
	t.Helper()
	w := newWorld(t)
	w.publish()
	w.stop()
	w.cfg.Policy, w.prov.actor.Policy = meetings, meetings
	w.start()
	d := w.quoted(w.request(market.General)).drawUp()
	l := d.terms.Lots[0]
	l.Provider, l.Payment, l.BondInput = w.other.id, w.other.Address, w.other.Coin(0, chain.Value{}).Ref
	l.Shards = []market.ShardTerms{{Index: 1, Input: l.Shards[0].Input}}
	d.terms.Lots, d.terms.Task.Shards = append(d.terms.Lots, l), 2
	d.build().start()
	d.witness()
	w.must(w.other.Sign(d.tx))
	w.must(w.ledger.Submit(d.tx.Bytes()))
	w.block(1)
	if l := d.lot(); l.Status != escrow.Sliced || l.Place.Of != 2 {
		t.Fatalf("the lot is %s, of %d", l.Status, l.Place.Of)
	}
	d.result()
	return &shared{d, d.terms.CommitBy - chain.Time(meetings.CommitLead+2*meetings.LeaveStep+3*meetings.Meeting)}
}

// late lets time pass until the slice may be left, with nobody calling.
func (s *shared) late() *shared {
	s.Helper()
	s.until(s.from, 1)
	return s
}

func (s *shared) invitation() market.LeaveInvitation {
	return market.LeaveInvitation{Job: s.job(), Slice: s.lot().Ref}
}

// leavers are both, in the order of the slice, this one with its result or with another root.
func (s *shared) leavers(mine market.Hash) []plutus.Leaver {
	at := s.lot().Place.Index
	return []plutus.Leaver{{Index: at, Root: mine}, {Index: 1 - at, Root: otherRoot}}
}

// slice is what both are in.
func (s *shared) slice() plutus.Slice {
	s.Helper()
	job, err := s.prov.book.JobLots(s.Context(), s.key.Job)
	s.must(err)
	held, _, err := s.prov.book.Held(s.Context(), s.lot().Ref)
	s.must(err)
	all, err := escrow.SliceOf(s.contracts, job, held)
	s.must(err)
	return all
}

// leave is a leave that the other one has built, with what it adds.
func (s *shared) leave(mine market.Hash, add ...func(*chain.Draft)) *chain.Tx {
	s.Helper()
	s.must(s.other.book.Sync())
	refs, err := s.other.book.References(s.Context())
	s.must(err)
	f := plutus.Frame{From: s.ledger.Slot(), Until: s.ledger.Slot() + 60, References: refs}
	d, err := s.contracts.Leave(s.slice(), s.packed, s.leavers(mine), plutus.ClaimAt(s.packed, f.Until, s.ledger.Clock()), f)
	s.must(err)
	for _, a := range add {
		a(&d)
	}
	coins := []chain.UTxO{s.other.Coin(8, chain.Coins(30_000_000)), s.other.Coin(9, chain.Coins(10_000_000))}
	tx, err := chain.Balance(d, coins[:1], s.other.Address, coins[1:], s.ledger.Params(), s.ledger.Clock(), s.contracts.Network)
	s.must(err)
	return tx
}

func (s *shared) ask(tx *chain.Tx) (market.Witness, error) {
	s.Helper()
	i := s.invitation()
	return s.d.WitnessLeave(s.Context(), s.other.id, market.LeaveProposal{Job: i.Job, Slice: i.Slice, Tx: tx.Bytes()})
}

func (s *shared) root() market.Hash { return s.result().Root }

// refused wants a refusal of a code that says some words.
func (s *shared) refused(err error, code, words string) {
	s.Helper()
	var r market.Refusal
	if !errors.As(err, &r) || r.Code != code || !strings.Contains(r.Sentence, words) {
		s.Errorf("%v, not %s %q", err, code, words)
	}
}

// TestGuest: a provider that is called leaves with its result in another one's transaction, sees that in the chain, though it
// heard nothing more and was restarted, and claims.
func TestGuest(t *testing.T) {
	s := newShared(t).late()
	had := s.prov.lovelace(s.world)
	w, err := s.d.Leave(t.Context(), s.other.id, s.invitation())
	if err != nil || w.Root != s.root() || w.Slice != s.lot().Ref {
		t.Fatalf("%+v %v", w, err)
	}
	tx := s.leave(w.Root)
	v, err := s.ask(tx)
	s.must(err)
	s.must(tx.AddWitness(v.VKey, v.Signature))
	s.must(s.other.Sign(tx))
	s.must(s.ledger.Submit(tx.Bytes()))
	replayed := s.invitation()
	s.restart()
	s.block(1)
	l := s.lot()
	if l.Status != escrow.Committed || l.Txs[escrow.KindLeave] != tx.ID() || l.Root != w.Root {
		t.Fatalf("the lot is %s by %s", l.Status, l.Txs[escrow.KindLeave])
	}
	if got := s.prov.lovelace(s.world); got != had {
		t.Errorf("a guest had %d lovelace and has %d", had, got)
	}
	_, err = s.d.Leave(t.Context(), s.other.id, replayed)
	s.refused(err, market.RefusedUnknown, "no such slice")
	s.until(l.ClaimAt+10_000, 10)
	s.over(market.PhaseDone)
	if n := s.asked(); n != 0 {
		t.Errorf("%d transactions are remembered", n)
	}
}

// asked is how many transactions a store remembers.
func (s *shared) asked() (n int) {
	s.Helper()
	s.must(s.db.QueryRow(`SELECT count(*) FROM leaving`).Scan(&n))
	return n
}

// TestGuestWaits: who is called by a block that it has not seen yet waits for it.
func TestGuestWaits(t *testing.T) {
	s := newShared(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.d.Leave(ctx, s.other.id, s.invitation())
	s.refused(err, market.RefusedBusy, "still has time")
	s.until(s.from-3000, 1)
	answered := make(chan error, 1)
	i := s.invitation()
	go func() {
		_, err := s.d.Leave(context.Background(), s.other.id, i)
		answered <- err
	}()
	s.until(s.from, 1)
	s.must(<-answered)
}

// TestGuestRefuses: whoever asks for what it may not.
func TestGuestRefuses(t *testing.T) {
	s := newShared(t).late()
	i := s.invitation()
	for name, from := range map[string]peer.ID{"a stranger": stranger(), "the requester": s.req.id, "itself": s.prov.id} {
		_, err := s.d.Leave(t.Context(), from, i)
		if r := new(market.Refusal); !errors.As(err, r) || r.Code != market.RefusedUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	elsewhere, nowhere := i, i
	elsewhere.Slice.Index++
	nowhere.Job[0]++
	for _, bad := range []market.LeaveInvitation{elsewhere, nowhere} {
		_, err := s.d.Leave(t.Context(), s.other.id, bad)
		s.refused(err, market.RefusedUnknown, "no such slice")
		_, err = s.d.WitnessLeave(t.Context(), s.other.id, market.LeaveProposal{Job: bad.Job, Slice: bad.Slice, Tx: s.leave(s.root()).Bytes()})
		s.refused(err, market.RefusedUnknown, "no such slice")
	}
	_, err := s.d.WitnessLeave(t.Context(), s.other.id, market.LeaveProposal{Job: i.Job, Slice: i.Slice, Tx: []byte("garbage")})
	s.refused(err, market.RefusedTx, "")
	_, err = s.ask(s.leave(market.Hash{9}))
	s.refused(err, market.RefusedTx, "another root")
	if n := s.asked(); n != 1 {
		t.Errorf("%d transactions were looked at", n)
	}
}

// TestGuestTooEarly: no signature for a leave, however well it is built, while the requester can settle.
func TestGuestTooEarly(t *testing.T) {
	s := newShared(t)
	_, err := s.ask(s.leave(s.root()))
	s.refused(err, market.RefusedBusy, "still has time")
}

// TestGuestSignsTwice: one caller gets two transactions signed for a slice, each as often as it asks, and no third one.
func TestGuestSignsTwice(t *testing.T) {
	s := newShared(t).late()
	first := s.leave(s.root())
	a, err := s.ask(first)
	s.must(err)
	for range 1000 {
		b, err := s.ask(first)
		if err != nil || !bytes.Equal(a.Signature, b.Signature) {
			t.Fatalf("asked again: %v", err)
		}
	}
	s.block(1)
	_, err = s.ask(s.leave(s.root()))
	s.must(err)
	s.block(1)
	_, err = s.ask(s.leave(s.root()))
	s.refused(err, market.RefusedBusy, "2 other transactions")
	if n := s.asked(); n != 2 {
		t.Errorf("%d transactions are remembered", n)
	}
}

// TestGuestOfThief: an output that the provider is about to get, from a transaction that only the thief has, is not signed
// away with a leave.
func TestGuestOfThief(t *testing.T) {
	s := newShared(t).late()
	gift := chain.Draft{Outputs: []chain.Output{{Address: s.prov.Address, Value: chain.Coins(5_000_000).With(ntx, 1_000_000)}}, Until: s.ledger.Slot() + 60}
	payment, err := s.req.purse.Pay(t.Context(), gift, "gift")
	s.must(err)
	tx := s.leave(s.root(), func(d *chain.Draft) {
		u := chain.UTxO{Ref: chain.OutRef{Tx: payment.ID()}, Output: gift.Outputs[0]}
		u.Address = s.other.Address // as the thief says
		d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
	})
	_, err = s.ask(tx)
	s.refused(err, market.RefusedTx, "not in the chain")
	s.must(s.ledger.Submit(payment.Bytes()))
	s.block(1)
	_, err = s.ask(tx)
	s.refused(err, market.RefusedTx, "is mine")
}

// TestGuestForgotten: the caller has the signature and keeps it; the provider leaves in its own turn, and the caller's
// transaction can do nothing more.
func TestGuestForgotten(t *testing.T) {
	s := newShared(t).late()
	tx := s.leave(s.root())
	v, err := s.ask(tx)
	s.must(err)
	s.restart()
	s.until(s.terms.CommitBy-chain.Time(meetings.CommitLead), 1)
	l := s.lot()
	if l.Status != escrow.Committed || l.Txs[escrow.KindLeave] == tx.ID() || l.Root != s.root() {
		t.Fatalf("the lot is %s by %s", l.Status, l.Txs[escrow.KindLeave])
	}
	s.must(tx.AddWitness(v.VKey, v.Signature))
	s.must(s.other.Sign(tx))
	if err := s.ledger.Submit(tx.Bytes()); err == nil {
		t.Error("it left twice")
	}
	s.until(l.ClaimAt+10_000, 10)
	s.over(market.PhaseDone)
}

// guests is the other provider of a slice, as this one reaches it.
type guests struct {
	s      *shared
	wish   func(market.LeaveInvitation) (market.LeaveWish, error)
	answer func(*chain.Tx, market.Witness) (market.Witness, error)
	asked  int
}

func (g *guests) Connect(context.Context, peer.ID, []string) error { return nil }

func (g *guests) Invite(_ context.Context, to peer.ID, i market.LeaveInvitation) (market.LeaveWish, error) {
	if to != g.s.other.id || i != g.s.invitation() {
		g.s.Errorf("%s is asked to leave %s", to, i.Slice)
	}
	if g.wish != nil {
		return g.wish(i)
	}
	return market.LeaveWish{Slice: i.Slice, Root: otherRoot}, nil
}

func (g *guests) ProposeLeave(ctx context.Context, _ peer.ID, p market.LeaveProposal) (market.Witness, error) {
	g.asked++
	tx, err := chain.DecodeTx(p.Tx)
	g.s.must(err)
	if len(tx.Witnesses()) > 0 {
		g.s.Errorf("the caller has signed already")
	}
	body, err := tx.Inspect()
	g.s.must(err)
	coins, err := g.s.d.Ledger.Outputs(ctx, plutus.Foreign(body, p.Slice))
	g.s.must(err)
	g.s.must(g.s.contracts.CheckLeave(tx, plutus.Guest{
		Slice: g.s.slice(), Terms: g.s.packed, Leaver: g.s.leavers(market.Hash{})[1], Coins: coins,
		Until: g.s.terms.CommitBy, Keys: []chain.KeyHash{g.s.other.Hash},
	}, g.s.ledger.Clock()))
	id := tx.ID()
	vkey, sig, err := g.s.other.signMessage(id[:])
	w := market.Witness{Tx: id, VKey: vkey, Signature: sig}
	if g.answer != nil {
		return g.answer(tx, w)
	}
	return w, err
}

// calls has this provider call the other one, and its turn come.
func (s *shared) calls(g *guests) {
	s.Helper()
	g.s = s
	s.d.Fellows = g
	s.prov.actor.Meeting = s.d.Meeting(s.prov.purse)
	s.until(s.terms.CommitBy-chain.Time(meetings.CommitLead), 1)
}

// TestCaller: a provider takes another one along.
func TestCaller(t *testing.T) {
	s := newShared(t)
	g := &guests{}
	s.calls(g)
	mine := s.lot()
	theirs, err := s.prov.book.Lot(t.Context(), escrow.Key{Job: s.key.Job, Provider: s.other.Hash})
	s.must(err)
	if mine.Status != escrow.Committed || theirs.Status != escrow.Committed || theirs.Root != otherRoot || g.asked != 1 ||
		mine.Txs[escrow.KindLeave] != theirs.Txs[escrow.KindLeave] {
		t.Errorf("the lots are %s and %s, asked %d times", mine.Status, theirs.Status, g.asked)
	}
}

// TestCallerAlone: whatever the other one answers that is no good, the caller leaves in its turn, and no coin of its is kept
// for anything else.
func TestCallerAlone(t *testing.T) {
	no := market.Refusal{Code: market.RefusedBusy, Sentence: "no"}
	for name, g := range map[string]*guests{
		"does not come": {wish: func(market.LeaveInvitation) (market.LeaveWish, error) { return market.LeaveWish{}, no }},
		"does not sign": {answer: func(*chain.Tx, market.Witness) (market.Witness, error) { return market.Witness{}, no }},
		"signs something else": {answer: func(_ *chain.Tx, w market.Witness) (market.Witness, error) {
			w.Signature = slices.Clone(w.Signature)
			w.Signature[3]++
			return w, nil
		}},
		"signs with nothing": {answer: func(*chain.Tx, market.Witness) (market.Witness, error) { return market.Witness{}, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShared(t)
			s.calls(g)
			if l := s.lot(); l.Status != escrow.Committed {
				t.Fatalf("the lot is %s", l.Status)
			}
			if l, err := s.prov.book.Lot(t.Context(), escrow.Key{Job: s.key.Job, Provider: s.other.Hash}); err != nil || l.Status != escrow.Sliced {
				t.Errorf("the other lot is %s: %v", l.Status, err)
			}
			if want := map[bool]int{true: 1}[g.answer != nil]; g.asked != want {
				t.Errorf("asked for a witness %d times", g.asked)
			}
			s.until(s.lot().ClaimAt+10_000, 10)
			s.over(market.PhaseDone)
		})
	}
}

// TestCallerHangs: others that never answer are waited for until the next one would call, at most.
func TestCallerHangs(t *testing.T) {
	s := newShared(t)
	s.d.Fellows = hanging{}
	s.prov.actor.Meeting = s.d.Meeting(s.prov.purse)
	s.until(s.terms.CommitBy-chain.Time(meetings.CommitLead), 1)
	if l := s.lot(); l.Status != escrow.Committed {
		t.Fatalf("the lot is %s", l.Status)
	}
}

type hanging struct{}

func (hanging) Connect(ctx context.Context, _ peer.ID, _ []string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (hanging) Invite(context.Context, peer.ID, market.LeaveInvitation) (w market.LeaveWish, err error) {
	return w, errors.New("not connected")
}

func (hanging) ProposeLeave(context.Context, peer.ID, market.LeaveProposal) (w market.Witness, err error) {
	return w, errors.New("not connected")
}
