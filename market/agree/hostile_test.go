package agree_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
)

func frameOf(t testing.TB, m market.Message) []byte {
	t.Helper()
	b, err := market.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// What a hostile client sends is answered with a refusal or a reset, and the next call works.
func TestHostileClients(t *testing.T) {
	ctx := t.Context()
	_, h, c := ends(t, agree.ServeOptions{})
	for name, c2 := range map[string]struct {
		send    []byte
		refused bool // in words; else the stream is reset
	}{
		"announces 4 GiB":         {send: []byte{255, 255, 255, 255}},
		"one byte too large":      {send: binary.BigEndian.AppendUint32(nil, market.MaxMessageBytes+1)},
		"empty frame":             {send: []byte{0, 0, 0, 0}},
		"garbage":                 {send: append([]byte{0, 0, 0, 7}, "garbage"...)},
		"cut off":                 {send: frameOf(t, market.StatusRequest{Job: job})[:20]},
		"nothing":                 {},
		"an answer":               {send: frameOf(t, market.Ack{}), refused: true},
		"a refusal":               {send: frameOf(t, market.Refusal{Code: "x", Sentence: "y"}), refused: true},
		"a signed, other than":    {send: frameOf(t, market.Signed{What: market.SignedOffer, Data: []byte("x")}), refused: true},
		"more after the request":  {send: append(frameOf(t, market.StatusRequest{Job: unknownJob}), make([]byte, 100_000)...), refused: true},
		"http":                    {send: []byte("GET / HTTP/1.1\r\n\r\n")},
		"status of 28 zero bytes": {send: frameOf(t, market.StatusRequest{}), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := c.Host.NewStream(ctx, h.ID(), agree.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			_, _ = s.Write(c2.send)
			_ = s.CloseWrite()
			_ = s.SetReadDeadline(time.Now().Add(20 * time.Second))
			answer, err := io.ReadAll(s)
			if c2.refused {
				if err != nil || len(answer) < 4 {
					t.Fatalf("%d bytes, %v", len(answer), err)
				}
				m, err := market.Decode(answer[4:])
				if _, ok := m.(market.Refusal); !ok {
					t.Fatalf("answered %T, %v", m, err)
				}
			} else if err == nil || len(answer) != 0 {
				t.Fatalf("%d bytes, %v", len(answer), err)
			}
		})
	}
	s, err := c.Host.NewStream(ctx, h.ID(), agree.LogsProtocol)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(make([]byte, 10))
	_ = s.CloseWrite()
	if answer, err := io.ReadAll(s); err == nil {
		t.Fatalf("a short request for a log: %q", answer)
	}
	if _, err := c.Status(ctx, h.ID(), job); err != nil {
		t.Fatalf("a good call after the bad ones: %v", err)
	}
}

// A peer that opens calls and never finishes a request keeps nobody else waiting, and gets no more than its share.
func TestSlowLoris(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, h, loris := ends(t, agree.ServeOptions{CallsPerPeer: 3})
	for range 3 {
		s, err := loris.Host.NewStream(ctx, h.ID(), agree.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	// The server has seen all three once it refuses another.
	for {
		_, err := loris.Status(ctx, h.ID(), job)
		var r market.Refusal
		if errors.As(err, &r) && r.Code == market.RefusedBusy {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("never refused: %v", err)
		}
	}
	other := agree.Client{Host: newHost(t)}
	if err := other.Connect(ctx, h.ID(), []string{h.Addrs()[0].String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Status(ctx, h.ID(), job); err != nil {
		t.Fatalf("another peer: %v", err)
	}
}

// What a hostile provider answers is an error that says so, in bounded time and memory.
func TestHostileProviders(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		answer []byte
		stall  bool
		want   error
	}{
		"nothing":            {want: agree.ErrInterrupted},
		"announces 4 GiB":    {answer: []byte{255, 255, 255, 255}, want: agree.ErrProtocol},
		"garbage":            {answer: append([]byte{0, 0, 0, 7}, "garbage"...), want: agree.ErrProtocol},
		"cut off":            {answer: frameOf(t, market.JobStatus{Job: job, Phase: market.PhaseDone})[:30], want: agree.ErrInterrupted},
		"another job":        {answer: frameOf(t, market.JobStatus{Job: unknownJob, Phase: market.PhaseDone}), want: market.ErrOtherRequest},
		"another message":    {answer: frameOf(t, market.Ack{}), want: agree.ErrProtocol},
		"signed and unasked": {answer: frameOf(t, market.Signed{What: market.SignedOffer, Data: []byte("x")}), want: agree.ErrProtocol},
		"silence":            {stall: true, want: agree.ErrInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			h, client := newHost(t), agree.Client{Host: newHost(t)}
			if c.stall {
				client.CallTime = 300 * time.Millisecond
			}
			release := make(chan struct{})
			h.SetStreamHandler(agree.Protocol, func(s network.Stream) {
				_, _ = s.Write(c.answer)
				if c.stall {
					<-release
				}
				_ = s.Close()
			})
			defer close(release)
			if err := client.Connect(ctx, h.ID(), []string{h.Addrs()[0].String()}); err != nil {
				t.Fatal(err)
			}
			if s, err := client.Status(ctx, h.ID(), job); !errors.Is(err, c.want) {
				t.Fatalf("%+v, %v, want %v", s, err, c.want)
			}
		})
	}
	h, client := newHost(t), agree.Client{Host: newHost(t)}
	h.SetStreamHandler(agree.Protocol, func(s network.Stream) {
		_, _ = s.Write(frameOf(t, market.Signed{What: market.SignedResult, Data: []byte("x")}))
		_ = s.Close()
	})
	if err := client.Connect(ctx, h.ID(), []string{h.Addrs()[0].String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Quote(ctx, h.ID(), quoteRequest(client.Host.ID())); !errors.Is(err, agree.ErrProtocol) {
		t.Fatalf("a result in place of a quote: %v", err)
	}
}

// A call that would not be understood is not sent.
func TestBadRequestsAreNotSent(t *testing.T) {
	p, h, c := ends(t, agree.ServeOptions{})
	if _, err := c.Propose(t.Context(), h.ID(), market.TermsProposal{}); !errors.Is(err, market.ErrMalformed) {
		t.Fatalf("got %v", err)
	}
	if len(p.from) != 0 {
		t.Fatal("it arrived")
	}
}
