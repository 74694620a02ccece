package agree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/tallycompute/tally/market"
)

// Client calls providers. Every method's error is a market.Refusal, ErrUnreachable, ErrInterrupted or ErrProtocol; each ends
// with ctx, and after CallTime.
type Client struct {
	Host     host.Host
	CallTime time.Duration // for one call, with dialling; 0 means 90 s
}

// Connect dials a peer at the multiaddresses that its offer names, so that calls find it.
func (c Client) Connect(ctx context.Context, to peer.ID, addrs []string) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	info := peer.AddrInfo{ID: to}
	for _, a := range addrs {
		m, err := ma.NewMultiaddr(a)
		if err != nil {
			return fmt.Errorf("%w: address %.80q: %w", ErrUnreachable, a, err)
		}
		info.Addrs = append(info.Addrs, m)
	}
	if err := c.Host.Connect(ctx, info); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// Quote asks for a firm quote and returns it signed; market.OpenQuote checks it.
func (c Client) Quote(ctx context.Context, to peer.ID, r market.QuoteRequest) ([]byte, error) {
	return c.signed(ctx, to, r, market.SignedQuote)
}

// Propose asks for a witness of the opening transaction. The answer is to this proposal; its signature is not checked here.
func (c Client) Propose(ctx context.Context, to peer.ID, p market.TermsProposal) (market.Witness, error) {
	w, err := call[market.Witness](ctx, c, to, p)
	if err == nil && w.Reservation != p.Reservation {
		return market.Witness{}, fmt.Errorf("ask %s for a witness: %w: %w", to, ErrProtocol, market.ErrOtherRequest)
	}
	return w, err
}

// Release ends a reservation that came to nothing.
func (c Client) Release(ctx context.Context, to peer.ID, r market.ReservationID) error {
	_, err := call[market.Ack](ctx, c, to, market.Release{Reservation: r})
	return err
}

// Locked tells a provider which transaction opens its job.
func (c Client) Locked(ctx context.Context, to peer.ID, l market.Locked) error {
	_, err := call[market.Ack](ctx, c, to, l)
	return err
}

// Status asks how a provider's part of a job is doing.
func (c Client) Status(ctx context.Context, to peer.ID, job market.JobID) (market.JobStatus, error) {
	s, err := call[market.JobStatus](ctx, c, to, market.StatusRequest{Job: job})
	if err == nil && s.Job != job {
		return market.JobStatus{}, fmt.Errorf("ask %s for a status: %w: %w", to, ErrProtocol, market.ErrOtherRequest)
	}
	return s, err
}

// Result asks for a provider's signed result; market.OpenResult checks it.
func (c Client) Result(ctx context.Context, to peer.ID, job market.JobID) ([]byte, error) {
	return c.signed(ctx, to, market.ResultRequest{Job: job}, market.SignedResult)
}

// Opinion asks an attester about a disputed lot; escrow.Collect checks what it signed.
func (c Client) Opinion(ctx context.Context, to peer.ID, r market.VerdictRequest) (market.Opinion, error) {
	return callBy[market.Opinion](ctx, c, AttestProtocol, to, r)
}

// Invite asks another provider of a slice whether it leaves it too.
func (c Client) Invite(ctx context.Context, to peer.ID, i market.LeaveInvitation) (market.LeaveWish, error) {
	w, err := callBy[market.LeaveWish](ctx, c, LeaveProtocol, to, i)
	if err == nil && w.Slice != i.Slice {
		return market.LeaveWish{}, fmt.Errorf("invite %s to leave: %w: %w", to, ErrProtocol, market.ErrOtherRequest)
	}
	return w, err
}

// ProposeLeave asks it for a witness of the transaction. The answer's signature is not checked here.
func (c Client) ProposeLeave(ctx context.Context, to peer.ID, p market.LeaveProposal) (market.Witness, error) {
	return callBy[market.Witness](ctx, c, LeaveProtocol, to, p)
}

// Voucher tells a provider what it has earned so far.
func (c Client) Voucher(ctx context.Context, to peer.ID, v market.Voucher) error {
	_, err := call[market.Ack](ctx, c, to, v)
	return err
}

// Receipt sends a receipt that market.SignReceipt wrote.
func (c Client) Receipt(ctx context.Context, to peer.ID, signed []byte) error {
	_, err := call[market.Ack](ctx, c, to, market.Signed{What: market.SignedReceipt, Data: signed})
	return err
}

// Logs copies what a shard has printed to w, until its end or ctx's; there is no other limit of time as long as w keeps up. The bytes are
// whatever the job printed: make them safe before they reach a terminal. At most 64 MiB come.
func (c Client) Logs(ctx context.Context, to peer.ID, job market.JobID, shard uint32, w io.Writer) error {
	what := fmt.Sprintf("ask %s for the log of shard %d", to, shard)
	st, done, err := c.open(ctx, to, LogsProtocol)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	if err := st.SetDeadline(time.Now().Add(frameTime)); err != nil {
		return interrupted(ctx, what, err)
	}
	if _, err := st.Write(logsRequest{job, shard}.encode()); err != nil {
		return interrupted(ctx, what, err)
	}
	answer, err := readFrame(st)
	if err != nil {
		return interrupted(ctx, what, err)
	}
	if _, err := expect[market.Ack](answer); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := st.SetDeadline(time.Time{}); err != nil {
		return interrupted(ctx, what, err)
	}
	n, err := io.Copy(w, io.LimitReader(st, maxLog+1))
	switch {
	case err != nil:
		return interrupted(ctx, what, err)
	case n > maxLog:
		return fmt.Errorf("%s: %w: %w", what, ErrProtocol, market.ErrTooLarge)
	}
	return nil
}

func (c Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := c.CallTime
	if limit == 0 {
		limit = 90 * time.Second
	}
	return context.WithTimeout(ctx, limit)
}

// open opens a stream that ends with ctx; done must be called.
func (c Client) open(ctx context.Context, to peer.ID, p protocol.ID) (st network.Stream, done func(), err error) {
	dial, cancel := c.bound(ctx)
	defer cancel()
	// A relayed connection is good enough for messages.
	st, err = c.Host.NewStream(network.WithAllowLimitedConn(dial, "agree"), to, p)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	return st, func() { stop(); _ = st.Reset() }, nil
}

func (c Client) signed(ctx context.Context, to peer.ID, m market.Message, what string) ([]byte, error) {
	s, err := call[market.Signed](ctx, c, to, m)
	if err == nil && s.What != what {
		return nil, fmt.Errorf("ask %s for a %s: %w: %w %.32q", to, what, ErrProtocol, errSigned, s.What)
	}
	return s.Data, err
}

// call sends a provider m and reads an A.
func call[A market.Message](ctx context.Context, c Client, to peer.ID, m market.Message) (A, error) {
	return callBy[A](ctx, c, Protocol, to, m)
}

// callBy sends m by a protocol and reads an A.
func callBy[A market.Message](ctx context.Context, c Client, by protocol.ID, to peer.ID, m market.Message) (A, error) {
	var none A
	what := fmt.Sprintf("send %s a %T", to, m)
	ctx, cancel := c.bound(ctx)
	defer cancel()
	st, done, err := c.open(ctx, to, by)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	if deadline, ok := ctx.Deadline(); ok {
		if err := st.SetDeadline(deadline); err != nil {
			return none, interrupted(ctx, what, err)
		}
	}
	// A provider that is too busy answers without having read the request, so a failed write may still have an answer.
	werr := writeFrame(st, m)
	if errors.Is(werr, market.ErrTooLarge) || errors.Is(werr, market.ErrMalformed) {
		return none, fmt.Errorf("%s: %w", what, werr)
	}
	if werr == nil {
		werr = st.CloseWrite()
	}
	answer, err := readFrame(st)
	if err != nil {
		return none, interrupted(ctx, what, errors.Join(werr, err))
	}
	a, err := expect[A](answer)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	return a, nil
}

// expect makes of an answer what was asked for, or an error of a Refusal.
func expect[A market.Message](answer market.Message) (A, error) {
	var none A
	switch a := answer.(type) {
	case A:
		return a, nil
	case market.Refusal:
		return none, a
	}
	return none, fmt.Errorf("%w: got a %T, want a %T", ErrProtocol, answer, none)
}

// interrupted says why a call got no answer.
func interrupted(ctx context.Context, what string, err error) error {
	kind := ErrInterrupted
	var reset *network.StreamError
	var unknown multistream.ErrNotSupported[protocol.ID]
	if errors.As(err, &unknown) || errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamProtocolNegotiationFailed {
		kind = ErrUnreachable // it spoke the protocol once, so the request was sent before it said that it no longer does
	}
	if errors.Is(err, market.ErrTooLarge) || errors.Is(err, market.ErrMalformed) || errors.Is(err, market.ErrOtherNetwork) {
		kind = ErrProtocol
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}
