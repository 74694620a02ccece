package agree_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
)

// fellow says yes to one slice, to another one too late, and to a third of its own choice.
type fellow struct{ from peer.ID }

var (
	ours  = chain.OutRef{Tx: chain.TxID{1}, Index: 2}
	slow  = chain.OutRef{Tx: chain.TxID{2}}
	other = chain.OutRef{Tx: chain.TxID{3}}
)

func (f *fellow) Leave(ctx context.Context, from peer.ID, i market.LeaveInvitation) (market.LeaveWish, error) {
	f.from = from
	switch {
	case i.Slice == slow:
		<-ctx.Done()
		return market.LeaveWish{}, ctx.Err()
	case i.Slice == other:
		return market.LeaveWish{Slice: ours}, nil
	case i.Job != job || i.Slice != ours:
		return market.LeaveWish{}, market.Refusal{Code: market.RefusedUnknown, Sentence: "no such slice"}
	}
	return market.LeaveWish{Slice: ours, Root: market.Hash{7}}, nil
}

func (f *fellow) WitnessLeave(_ context.Context, from peer.ID, p market.LeaveProposal) (market.Witness, error) {
	f.from = from
	return market.Witness{Tx: chain.TxID(market.HashOf(p.Tx)), VKey: make([]byte, 32), Signature: make([]byte, 64)}, nil
}

func TestLeaveCalls(t *testing.T) {
	ctx := t.Context()
	f, h, c := &fellow{}, newHost(t), agree.Client{Host: newHost(t)}
	srv := agree.ServeFellow(ctx, h, f, agree.ServeOptions{CallTime: 200 * time.Millisecond})
	var addrs []string
	for _, a := range h.Addrs() {
		addrs = append(addrs, a.String())
	}
	if err := c.Connect(ctx, h.ID(), addrs); err != nil {
		t.Fatal(err)
	}
	w, err := c.Invite(ctx, h.ID(), market.LeaveInvitation{Job: job, Slice: ours})
	if err != nil || w != (market.LeaveWish{Slice: ours, Root: market.Hash{7}}) || f.from != c.Host.ID() {
		t.Fatalf("%+v of %s: %v", w, f.from, err)
	}
	var r market.Refusal
	for slice, code := range map[chain.OutRef]string{{}: market.RefusedUnknown, slow: market.RefusedBusy} {
		if _, err := c.Invite(ctx, h.ID(), market.LeaveInvitation{Job: job, Slice: slice}); !errors.As(err, &r) || r.Code != code {
			t.Errorf("%s: %v", slice, err)
		}
	}
	if _, err := c.Invite(ctx, h.ID(), market.LeaveInvitation{Job: job, Slice: other}); !errors.Is(err, agree.ErrProtocol) {
		t.Errorf("an answer about another slice: %v", err)
	}
	tx := []byte("transaction")
	v, err := c.ProposeLeave(ctx, h.ID(), market.LeaveProposal{Job: job, Slice: ours, Tx: tx})
	if err != nil || v.Tx != chain.TxID(market.HashOf(tx)) {
		t.Errorf("%+v %v", v, err)
	}
	if _, err := c.ProposeLeave(ctx, h.ID(), market.LeaveProposal{}); !errors.Is(err, market.ErrMalformed) {
		t.Errorf("nothing to sign: %v", err)
	}
	if _, err := c.Status(ctx, h.ID(), job); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("what is no seller: %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Invite(ctx, h.ID(), market.LeaveInvitation{Job: job, Slice: ours}); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("after close: %v", err)
	}
}

// TestLeaveStrangeRequest: fellows are asked to leave, and nothing else.
func TestLeaveStrangeRequest(t *testing.T) {
	h := newHost(t)
	srv := agree.ServeFellow(t.Context(), h, &fellow{}, agree.ServeOptions{})
	defer srv.Close()
	b := newHost(t)
	if err := b.Connect(t.Context(), h.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	s, err := b.NewStream(t.Context(), h.ID(), agree.LeaveProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	_, _ = s.Write(frameOf(t, market.StatusRequest{Job: job}))
	_ = s.CloseWrite()
	answer, err := io.ReadAll(s)
	if err != nil || len(answer) < 4 {
		t.Fatalf("%d bytes, %v", len(answer), err)
	}
	got, err := market.Decode(answer[4:])
	if r, ok := got.(market.Refusal); !ok || r.Code != market.RefusedOther {
		t.Errorf("%v %v", got, err)
	}
}
