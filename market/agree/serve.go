package agree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tallycompute/tally/market"
)

// ServeOptions are what Serve may be told beside who answers. A zero field takes the default named beside it.
type ServeOptions struct {
	Calls        int           // at once (128)
	CallsPerPeer int           // at once from one peer (8)
	CallTime     time.Duration // for the answer to one call (60 s); logs may take as long as they make progress
	Log          *slog.Logger
}

// Server answers calls until it is closed.
type Server struct {
	ctx    context.Context
	cancel context.CancelFunc
	host   host.Host
	answer func(ctx context.Context, from peer.ID, request market.Message) (market.Message, error)
	worker Worker // whose logs are served
	speaks []protocol.ID
	opts   ServeOptions
	calls  *limiter
}

// Serve answers peers' calls on h until Close. The calls' contexts end with ctx.
func Serve(ctx context.Context, h host.Host, seller Seller, worker Worker, opts ServeOptions) *Server {
	s := newServer(ctx, h, opts)
	s.answer, s.worker = answers{seller, worker}.answer, worker
	s.speak(Protocol, s.call)
	s.speak(LogsProtocol, s.logs)
	return s
}

// ServeAttester answers the parties of disputed lots on h until Close.
func ServeAttester(ctx context.Context, h host.Host, a Attester, opts ServeOptions) *Server {
	s := newServer(ctx, h, opts)
	s.answer = func(ctx context.Context, from peer.ID, request market.Message) (market.Message, error) {
		r, ok := request.(market.VerdictRequest)
		if !ok {
			return nil, market.Refusal{Code: market.RefusedOther, Sentence: fmt.Sprintf("a %T is not something to ask an attester", request)}
		}
		o, err := a.Opinion(ctx, from, r)
		return o, err
	}
	s.speak(AttestProtocol, s.call)
	return s
}

// ServeFellow answers the other providers of slices on h until Close.
func ServeFellow(ctx context.Context, h host.Host, f Fellow, opts ServeOptions) *Server {
	s := newServer(ctx, h, opts)
	s.answer = func(ctx context.Context, from peer.ID, request market.Message) (market.Message, error) {
		switch r := request.(type) {
		case market.LeaveInvitation:
			w, err := f.Leave(ctx, from, r)
			return w, err
		case market.LeaveProposal:
			w, err := f.WitnessLeave(ctx, from, r)
			return w, err
		}
		return nil, market.Refusal{Code: market.RefusedOther, Sentence: fmt.Sprintf("a %T is not something to ask a fellow", request)}
	}
	s.speak(LeaveProtocol, s.call)
	return s
}

func newServer(ctx context.Context, h host.Host, opts ServeOptions) *Server {
	if opts.Calls == 0 {
		opts.Calls = 128
	}
	if opts.CallsPerPeer == 0 {
		opts.CallsPerPeer = 8
	}
	if opts.CallTime == 0 {
		opts.CallTime = time.Minute
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{host: h, opts: opts, calls: newLimiter(opts.Calls, opts.CallsPerPeer)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// speak answers a protocol's streams.
func (s *Server) speak(p protocol.ID, serve func(network.Stream) error) {
	s.speaks = append(s.speaks, p)
	s.host.SetStreamHandler(p, s.limited(serve))
}

// Close stops answering, cuts off the calls under way and waits for them.
func (s *Server) Close() error {
	for _, p := range s.speaks {
		s.host.RemoveStreamHandler(p)
	}
	s.cancel()
	s.calls.close()
	return nil
}

// limited runs serve for a stream if there is room, and ends the stream: in order if serve returns nil, else by a reset.
func (s *Server) limited(serve func(network.Stream) error) network.StreamHandler {
	return func(st network.Stream) {
		room, open := s.calls.begin(st)
		switch {
		case !open:
			_ = st.Reset()
			return
		case !room:
			_ = st.SetDeadline(time.Now().Add(frameTime))
			_ = writeFrame(st, market.Refusal{Code: market.RefusedBusy, Sentence: "too many calls at once"})
			_ = st.Close()
			return
		}
		defer s.calls.end(st)
		if err := serve(st); err != nil {
			s.opts.Log.Debug("call broke off", "peer", st.Conn().RemotePeer(), "protocol", st.Protocol(), "err", err)
			_ = st.Reset()
			return
		}
		_ = st.Close()
	}
}

func (s *Server) call(st network.Stream) error {
	if err := st.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
		return err
	}
	request, err := readFrame(st)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.CallTime)
	defer cancel()
	from := st.Conn().RemotePeer()
	answer, err := s.answer(ctx, from, request)
	if err != nil {
		answer = s.refusal(from, err)
	}
	if err := st.SetWriteDeadline(time.Now().Add(frameTime)); err != nil {
		return err
	}
	err = writeFrame(st, answer)
	if errors.Is(err, market.ErrMalformed) || errors.Is(err, market.ErrTooLarge) { // nothing was written
		err = writeFrame(st, s.refusal(from, fmt.Errorf("answer: %w", err)))
	}
	return err
}

// answers are a provider's.
type answers struct {
	seller Seller
	worker Worker
}

func (s answers) answer(ctx context.Context, from peer.ID, request market.Message) (market.Message, error) {
	switch r := request.(type) {
	case market.QuoteRequest:
		if r.Requester != from {
			return nil, market.Refusal{Code: market.RefusedOther, Sentence: "the request names another peer as its requester"}
		}
		signed, err := s.seller.Quote(ctx, from, r)
		return market.Signed{What: market.SignedQuote, Data: signed}, err
	case market.TermsProposal:
		w, err := s.seller.Witness(ctx, from, r)
		return w, err
	case market.Release:
		return market.Ack{}, s.seller.Release(ctx, from, r.Reservation)
	case market.Locked:
		return market.Ack{}, s.seller.Locked(ctx, from, r)
	case market.StatusRequest:
		st, err := s.worker.Status(ctx, from, r.Job)
		return st, err
	case market.ResultRequest:
		signed, err := s.worker.Result(ctx, from, r.Job)
		return market.Signed{What: market.SignedResult, Data: signed}, err
	case market.Voucher:
		return market.Ack{}, s.worker.Voucher(ctx, from, r)
	case market.Signed:
		if r.What == market.SignedReceipt {
			return market.Ack{}, s.worker.Receipt(ctx, from, r.Data)
		}
	}
	return nil, market.Refusal{Code: market.RefusedOther, Sentence: fmt.Sprintf("a %T is not something to ask a provider", request)}
}

// refusal is what the peer is told of an error: all of a Refusal, nothing of what went wrong inside.
func (s *Server) refusal(from peer.ID, err error) market.Refusal {
	var r market.Refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r = market.Refusal{Code: market.RefusedBusy, Sentence: "the answer took too long"}
	default:
		r = market.Refusal{Code: market.RefusedOther, Sentence: "the provider could not answer; its log says why"}
	}
	s.opts.Log.Error("call failed", "peer", from, "err", err)
	return r
}
