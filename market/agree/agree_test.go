package agree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/agree"
	"github.com/tallycompute/tally/market/p2p"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	job         = market.JobID{1, 2, 3}
	unknownJob  = market.JobID{9}
	brokenJob   = market.JobID{8}
	slowJob     = market.JobID{7}
	reservation = market.ReservationID{4, 5, 6}
)

// provider answers everything about one job; it remembers what it was told, and by whom.
type provider struct {
	mu       sync.Mutex
	released market.ReservationID
	locked   market.Locked
	receipt  []byte
	voucher  uint64
	from     []peer.ID
	slow     chan struct{} // closed when a slow call's context ended
}

func newProvider() *provider { return &provider{slow: make(chan struct{}, 100)} }

func (p *provider) saw(from peer.ID, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = append(p.from, from)
	f()
}

func (p *provider) Quote(_ context.Context, from peer.ID, r market.QuoteRequest) ([]byte, error) {
	p.saw(from, func() {})
	if r.Shards > 4 {
		return nil, fmt.Errorf("admission: %w", market.Refusal{Code: market.RefusedResources, Sentence: "this provider runs 4 shards at most"})
	}
	return []byte("signed quote for " + r.Name), nil
}

func (p *provider) Witness(_ context.Context, from peer.ID, t market.TermsProposal) (market.Witness, error) {
	p.saw(from, func() {})
	return market.Witness{Reservation: t.Reservation, Tx: chain.TxID(market.HashOf(t.Tx)), VKey: make([]byte, 32), Signature: make([]byte, 64)}, nil
}

func (p *provider) Release(_ context.Context, from peer.ID, r market.ReservationID) error {
	p.saw(from, func() { p.released = r })
	return nil
}

func (p *provider) Locked(_ context.Context, from peer.ID, l market.Locked) error {
	p.saw(from, func() { p.locked = l })
	return nil
}

func (p *provider) known(ctx context.Context, j market.JobID) error {
	switch j {
	case job:
		return nil
	case brokenJob:
		return errors.New("sql: /var/lib/tally/secret.db is locked")
	case slowJob:
		<-ctx.Done()
		p.slow <- struct{}{}
		return ctx.Err()
	}
	return market.Refusal{Code: market.RefusedUnknown, Sentence: "no such job"}
}

func (p *provider) Status(ctx context.Context, _ peer.ID, j market.JobID) (market.JobStatus, error) {
	if err := p.known(ctx, j); err != nil {
		return market.JobStatus{}, err
	}
	return market.JobStatus{Job: j, Phase: market.PhaseRunning, Shards: []market.ShardStatus{{Index: 3, Phase: market.PhaseRunning}}}, nil
}

func (p *provider) Result(ctx context.Context, _ peer.ID, j market.JobID) ([]byte, error) {
	return bytes.Repeat([]byte("r"), 300_000), p.known(ctx, j)
}

func (p *provider) Voucher(_ context.Context, from peer.ID, v market.Voucher) error {
	p.saw(from, func() { p.voucher = v.CumulativeUNTX })
	return nil
}

func (p *provider) Receipt(_ context.Context, from peer.ID, signed []byte) error {
	p.saw(from, func() { p.receipt = signed })
	return nil
}

func (p *provider) Logs(ctx context.Context, _ peer.ID, j market.JobID, shard uint32, w io.Writer) error {
	switch shard {
	case 0: // empty
	case 1:
		for i := range 10_000 {
			if _, err := fmt.Fprintf(w, "step %d of ten thousand, loss 0.5\n", i); err != nil {
				return err
			}
		}
	case 2: // breaks off
		_, _ = io.WriteString(w, "beginning\n")
		return errors.New("the container is gone")
	case 3: // goes on for ever
		for {
			if _, err := io.WriteString(w, "still here\n"); err != nil {
				p.slow <- struct{}{}
				return err
			}
			select {
			case <-ctx.Done():
				p.slow <- struct{}{}
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	case 4: // endless and fast
		b := bytes.Repeat([]byte("x"), 1<<20)
		for {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return p.known(ctx, j)
}

func newHost(t testing.TB) *p2p.Host {
	t.Helper()
	h, err := p2p.New(t.Context(), p2p.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// ends are a provider that serves and a requester's client that has connected to it.
func ends(t testing.TB, opts agree.ServeOptions) (*provider, *p2p.Host, agree.Client) {
	t.Helper()
	p, seller, buyer := newProvider(), newHost(t), newHost(t)
	srv := agree.Serve(t.Context(), seller, p, p, opts)
	t.Cleanup(func() { _ = srv.Close() })
	c := agree.Client{Host: buyer}
	var addrs []string
	for _, a := range seller.Addrs() {
		addrs = append(addrs, a.String())
	}
	if err := c.Connect(t.Context(), seller.ID(), addrs); err != nil {
		t.Fatal(err)
	}
	return p, seller, c
}

func quoteRequest(requester peer.ID) market.QuoteRequest {
	return market.QuoteRequest{
		Version: 1, Magic: 42, Requester: requester, RequesterAddress: chain.Enterprise(chain.Network{Magic: 42}, chain.KeyHash{1}),
		Name: "digits", Kind: market.Training, Image: market.ImageDigest("sha256:" + strings.Repeat("0a", 32)),
		Resources: market.Resources{MilliCPU: 1000, MemoryMiB: 1024, DiskMiB: 1024}, Shards: 1,
		Timeouts: market.Timeouts{Match: market.Minute, Start: market.Minute, Run: market.Minute, Collect: market.Minute}, Review: market.Hour,
	}
}

func TestCalls(t *testing.T) {
	ctx := t.Context()
	p, h, c := ends(t, agree.ServeOptions{})
	to := h.ID()
	quote, err := c.Quote(ctx, to, quoteRequest(c.Host.ID()))
	if err != nil || string(quote) != "signed quote for digits" {
		t.Fatalf("quote %q %v", quote, err)
	}
	proposal := market.TermsProposal{Reservation: reservation, Terms: make([]byte, market.MaxTermsBytes), Tx: []byte("tx")}
	w, err := c.Propose(ctx, to, proposal)
	if err != nil || w.Reservation != reservation || w.Tx != chain.TxID(market.HashOf([]byte("tx"))) {
		t.Fatalf("witness %v %v", w, err)
	}
	if err := c.Release(ctx, to, reservation); err != nil || p.released != reservation {
		t.Fatalf("release %v %v", p.released, err)
	}
	locked := market.Locked{Reservation: reservation, Job: job, Tx: chain.TxID{7}}
	if err := c.Locked(ctx, to, locked); err != nil || p.locked != locked {
		t.Fatalf("locked %v %v", p.locked, err)
	}
	status, err := c.Status(ctx, to, job)
	if err != nil || status.Phase != market.PhaseRunning || status.Shards[0].Index != 3 {
		t.Fatalf("status %v %v", status, err)
	}
	result, err := c.Result(ctx, to, job)
	if err != nil || len(result) != 300_000 {
		t.Fatalf("result of %d bytes: %v", len(result), err)
	}
	if err := c.Voucher(ctx, to, market.Voucher{Job: job, CumulativeUNTX: 7, Signature: make([]byte, 64)}); err != nil || p.voucher != 7 {
		t.Fatalf("voucher of %d: %v", p.voucher, err)
	}
	if err := c.Receipt(ctx, to, result); err != nil || !bytes.Equal(p.receipt, result) {
		t.Fatalf("receipt of %d bytes: %v", len(p.receipt), err)
	}
	for _, from := range p.from {
		if from != c.Host.ID() {
			t.Fatalf("a message is said to be from %s", from)
		}
	}
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	_, h, c := ends(t, agree.ServeOptions{CallTime: 200 * time.Millisecond})
	refused := func(what string, err error, code, sentence string) {
		t.Helper()
		var r market.Refusal
		if !errors.As(err, &r) || r.Code != code || !strings.Contains(r.Sentence, sentence) {
			t.Errorf("%s: %v", what, err)
		}
	}
	big := quoteRequest(c.Host.ID())
	big.Shards = 5
	_, err := c.Quote(ctx, h.ID(), big)
	refused("too many shards", err, market.RefusedResources, "4 shards at most")
	_, err = c.Quote(ctx, h.ID(), quoteRequest(h.ID()))
	refused("in another's name", err, market.RefusedOther, "another peer")
	_, err = c.Status(ctx, h.ID(), unknownJob)
	refused("unknown job", err, market.RefusedUnknown, "no such job")
	_, err = c.Result(ctx, h.ID(), unknownJob)
	refused("unknown job", err, market.RefusedUnknown, "no such job")
	refused("unknown job's log", c.Logs(ctx, h.ID(), unknownJob, 0, io.Discard), market.RefusedUnknown, "no such job")
	_, err = c.Status(ctx, h.ID(), slowJob)
	refused("slow answer", err, market.RefusedBusy, "too long")
	_, err = c.Status(ctx, h.ID(), brokenJob)
	refused("internal error", err, market.RefusedOther, "log")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("an internal error was told to the peer: %v", err)
	}
}

func TestLogs(t *testing.T) {
	ctx := t.Context()
	p, h, c := ends(t, agree.ServeOptions{})
	var out bytes.Buffer
	if err := c.Logs(ctx, h.ID(), job, 0, &out); err != nil || out.Len() != 0 {
		t.Fatalf("empty log: %q %v", out.String(), err)
	}
	if err := c.Logs(ctx, h.ID(), job, 1, &out); err != nil || strings.Count(out.String(), "\n") != 10_000 || !strings.HasSuffix(out.String(), "step 9999 of ten thousand, loss 0.5\n") {
		t.Fatalf("long log: %d bytes, %v", out.Len(), err)
	}
	out.Reset()
	if err := c.Logs(ctx, h.ID(), job, 2, &out); !errors.Is(err, agree.ErrInterrupted) {
		t.Fatalf("a log that broke off: %q %v", out.String(), err)
	}
	// A client that leaves stops the provider's writer.
	leave, cancel := context.WithCancel(ctx)
	err := c.Logs(leave, h.ID(), job, 3, writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil }))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("left: %v", err)
	}
	<-p.slow
	full := errors.New("disk full")
	if err := c.Logs(ctx, h.ID(), job, 3, writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Fatalf("a writer that fails: %v", err)
	}
	<-p.slow
	var n countWriter
	if err := c.Logs(ctx, h.ID(), job, 4, &n); err == nil || n > 64<<20 {
		t.Fatalf("an endless log: %d bytes, %v", n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

type countWriter int

func (c *countWriter) Write(b []byte) (int, error) { *c += countWriter(len(b)); return len(b), nil }

func TestUnreachable(t *testing.T) {
	ctx := t.Context()
	h, c := newHost(t), agree.Client{Host: newHost(t)}
	if _, err := c.Status(ctx, h.ID(), job); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("no address: %v", err)
	}
	if err := c.Connect(ctx, h.ID(), []string{"nonsense"}); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("bad address: %v", err)
	}
	if err := c.Connect(ctx, h.ID(), []string{h.Addrs()[0].String()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(ctx, h.ID(), job); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("a peer that is no provider: %v", err)
	}
	if err := c.Logs(ctx, h.ID(), job, 0, io.Discard); !errors.Is(err, agree.ErrUnreachable) {
		t.Errorf("a peer that is no provider: %v", err)
	}
}

// Closing the server ends the calls under way, and their contexts.
func TestCloseEndsCalls(t *testing.T) {
	p, seller, buyer := newProvider(), newHost(t), newHost(t)
	srv := agree.Serve(t.Context(), seller, p, p, agree.ServeOptions{})
	c := agree.Client{Host: buyer}
	if err := buyer.Connect(t.Context(), seller.AddrInfo()); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 2)
	started := make(chan struct{})
	var once sync.Once
	go func() { _, err := c.Status(t.Context(), seller.ID(), slowJob); failed <- err }()
	go func() {
		failed <- c.Logs(t.Context(), seller.ID(), job, 3, writerFunc(func(b []byte) (int, error) {
			once.Do(func() { close(started) })
			return len(b), nil
		}))
	}()
	<-started
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-failed; err == nil {
			t.Fatal("a call succeeded on a closed server")
		}
	}
	if _, err := c.Status(t.Context(), seller.ID(), job); !errors.Is(err, agree.ErrUnreachable) {
		t.Fatalf("after close: %v", err)
	}
}
