//go:build faults

package collective

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tallycompute/tally/testnet/measure"
)

// TestFaults has processes, one a rank, go on after one of them is killed, falls silent, is cut off for half a minute, or
// gets slow; and measures how long it takes until all others have done another step.
func TestFaults(t *testing.T) {
	const n, victim = 4, 2
	var all []measure.Measure
	for _, f := range []struct {
		name string
		does func(t *testing.T, p *os.Process)
		left int // members afterwards
	}{
		{"sigkill", func(t *testing.T, p *os.Process) { signal(t, p, syscall.SIGKILL) }, n - 1},
		{"silent", func(t *testing.T, p *os.Process) { signal(t, p, syscall.SIGSTOP) }, n - 1},
		{"cut_off_30s", func(t *testing.T, p *os.Process) {
			signal(t, p, syscall.SIGSTOP)
			time.AfterFunc(30*time.Second, func() { _ = p.Signal(syscall.SIGCONT) })
		}, n - 1},
		{"ten_times_slower", func(t *testing.T, p *os.Process) {
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					_ = p.Signal(syscall.SIGSTOP)
					time.Sleep(90 * time.Millisecond)
					_ = p.Signal(syscall.SIGCONT)
					time.Sleep(10 * time.Millisecond)
				}
			}()
		}, n},
	} {
		t.Run(f.name, func(t *testing.T) {
			crew := faultCrew(t, n)
			crew.until(t, "5 steps", func(_ int, at report) bool { return at.steps >= 5 })
			f.does(t, crew.cmds[victim].Process)
			start := time.Now()
			from := crew.reports()
			crew.until(t, fmt.Sprintf("another step of %d members", f.left), func(r int, at report) bool {
				return r == victim && f.left < n || at.steps > from[r].steps+1 && at.members == f.left
			})
			took := time.Since(start)
			if f.name == "cut_off_30s" { // until it is back, finds itself left out, and stops
				crew.until(t, "the end of who was cut off", func(r int, at report) bool { return r != victim || at.over })
				if crew.reports()[victim].err == nil {
					t.Error("who was cut off went on")
				}
			}
			crew.compare(t)
			all = append(all, measure.Measure{Name: "faults/" + f.name + "/next_step", Value: took.Seconds(), Unit: "s"})
		})
	}
	if t.Failed() {
		return
	}
	if err := measure.Table(os.Stdout, all); err != nil {
		t.Fatal(err)
	}
	if err := measure.Write(os.Getenv("BENCH_OUT"), all); err != nil {
		t.Fatal(err)
	}
}

func signal(t *testing.T, p *os.Process, s syscall.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestFaultRank is one process of TestFaults.
func TestFaultRank(t *testing.T) {
	rank, err := strconv.Atoi(os.Getenv("FAULT_RANK"))
	if err != nil {
		t.Fatalf("FAULT_RANK: %v: run TestFaults", err)
	}
	h := newHost(t)
	s := NewService(h, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	defer func() { _ = s.Close() }()
	if err := s.ListenStraight(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s/p2p/%s\n", h.Addrs()[0], h.ID())
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	v := View{Epoch: 1, Rank: rank}
	for _, one := range strings.Fields(line) {
		p, err := peer.AddrInfoFromString(one)
		if err != nil {
			t.Fatal(err)
		}
		v.Peers = append(v.Peers, *p)
	}
	c, err := s.NewCircle(t.Context(), v, Options{Progress: 20 * time.Second, Meet: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	src, dst := inputs(rank, 250_000), make([]float32, 250_000)
	for k := 0; ; k++ {
		src[0] = float32(k)
		if err := c.Do(t.Context(), sum(dst, src, Sum)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d %d %s\n", k, len(c.View().Peers), digest(dst)[:16])
		time.Sleep(20 * time.Millisecond)
	}
}

// TestRandomFaults does FAULTS times (500): a few members do steps while one fault after another hits a random link. However
// that ends, it ends, and no two members ever take different results for the same step.
func TestRandomFaults(t *testing.T) {
	times, err := strconv.Atoi(os.Getenv("FAULTS"))
	if err != nil {
		times = 500
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FAULT_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FAULT_SEED=%d", seed)
	outcomes := &outcomes{}
	var faults atomic.Int64
	var trials sync.WaitGroup
	for each := range uint64(4) { // at once: they wait more than they work
		trials.Go(func() {
			rng := rand.New(rand.NewPCG(seed, each))
			for faults.Load() < int64(times) && !t.Failed() {
				stop := standsStill(fmt.Sprintf("FAULT_SEED=%d: trial %d", seed, each))
				faults.Add(int64(randomTrial(t, rng, outcomes)))
				stop()
			}
		})
	}
	trials.Wait()
	t.Logf("members that finished: %d, that lost the others or their majority: %d", outcomes.finished.Load(), outcomes.lost.Load())
	t.Logf("%d faults", faults.Load())
	if outcomes.finished.Load() == 0 || outcomes.lost.Load() == 0 {
		t.Error("the faults were all too hard, or all too soft")
	}
}

// standsStill ends the run, with all stacks, if a trial does not: it ends its operations after two minutes itself.
func standsStill(what string) (stop func()) {
	over := make(chan struct{})
	go func() {
		tick := time.NewTicker(faultLook)
		defer tick.Stop()
		for range 2 * int(faultLimit/faultLook) {
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
		debug.SetTraceback("all")
		panic(what + " stands still: see where its members wait")
	}()
	return func() { close(over) }
}

// outcomes are how members ended.
type outcomes struct{ finished, lost atomic.Int64 }

func randomTrial(t *testing.T, rng *rand.Rand, outcomes *outcomes) (faults int) {
	n := 3 + rng.IntN(3)
	w := newHostsWith(t, n, func(int) bool { return false }) // which would go past the proxy
	proxies := make([]*proxy, n)
	for r := range w.services {
		proxies[r] = newProxy(t, w.hosts[r].Addrs()[0])
	}
	circles := make([]*Circle, n)
	w.all(func(r int) (err error) {
		v := w.view(r)
		for p := range v.Peers {
			v.Peers[p].Addrs = []ma.Multiaddr{proxies[p].addr}
		}
		o := Options{Heartbeat: 100 * time.Millisecond, Silence: time.Second, Progress: 6 * time.Second, Meet: 6 * time.Second}
		circles[r], err = w.services[r].NewCircle(t.Context(), v, o)
		return err
	})
	faults = 1 + rng.IntN(3)
	type hit struct {
		after time.Duration
		what  func()
	}
	var hits []hit
	for range faults {
		p, r := proxies[rng.IntN(n)], rng.IntN(n)
		pause := time.Duration(rng.IntN(1500)) * time.Millisecond
		what := []func(){
			func() { p.cut() },
			func() { p.hold(pause) },
			func() { p.hold(time.Hour) },
			func() { _ = w.hosts[r].Close() },
			func() { p.slow.Store(int64(2 * time.Millisecond)) },
		}[rng.IntN(5)]
		hits = append(hits, hit{time.Duration(rng.IntN(300)) * time.Millisecond, what})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a hang
	defer cancel()
	var chaos sync.WaitGroup
	chaos.Go(func() {
		for _, h := range hits {
			time.Sleep(h.after)
			h.what()
		}
	})
	size, flight := 1+rng.IntN(60_000), 1+rng.IntN(3)
	results := make([][]string, n)
	errs := w.each(func(r int) error {
		src := inputs(r, size)
		var dsts [3][]float32
		for k := range 25 {
			src[0] = float32(k)
			var handles []*Handle
			for i := range flight {
				dsts[i] = make([]float32, size)
				o := sum(dsts[i], src, []Reduce{Sum, Max, Mean}[i])
				if i == 1 {
					o.Name = "largest"
				}
				h, err := circles[r].Start(ctx, o)
				if err != nil {
					return err
				}
				handles = append(handles, h)
			}
			var step string
			for i, h := range handles {
				<-h.Done()
				if err := h.Wait(ctx); err != nil {
					return err
				}
				step += digest(dsts[i])
			}
			results[r] = append(results[r], step)
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	chaos.Wait()
	if ctx.Err() != nil {
		t.Errorf("a hang: %v", errs)
	}
	for r, err := range errs {
		switch {
		case err == nil:
			outcomes.finished.Add(1)
		case errors.Is(err, ErrLost), errors.Is(err, ErrTimeout):
			outcomes.lost.Add(1)
		default:
			t.Errorf("rank %d of %d: %v", r, n, err)
		}
		for k, d := range results[r] {
			for o := range r {
				if k < len(results[o]) && results[o][k] != d {
					t.Errorf("step %d: ranks %d and %d of %d parted", k, o, r, n)
				}
			}
		}
	}
	for r, c := range circles {
		c.Leave(t.Context(), errors.New("the trial is over"))
		_ = w.services[r].Close()
		_ = w.hosts[r].Close()
		proxies[r].close()
	}
	return faults
}

// proxy is the network before one host.
type proxy struct {
	addr  ma.Multiaddr
	to    string
	l     net.Listener
	slow  atomic.Int64 // a pause for each piece, in nanoseconds
	mu    sync.Mutex
	until time.Time // nothing passes before
	conns []net.Conn
	wg    sync.WaitGroup
	over  chan struct{}
}

func newProxy(t *testing.T, before ma.Multiaddr) *proxy {
	t.Helper()
	_, to, err := manet.DialArgs(before)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: to, l: l, over: make(chan struct{})}
	if p.addr, err = manet.FromNetAddr(l.Addr()); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			p.wg.Go(func() { p.carry(in, out) })
			p.wg.Go(func() { p.carry(out, in) })
		}
	})
	return p
}

func (p *proxy) carry(from, to net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		wait := time.Until(p.until)
		p.mu.Unlock()
		if slow := time.Duration(p.slow.Load()); wait < slow {
			wait = slow
		}
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-p.over:
			}
		}
		if n > 0 {
			_, werr := to.Write(b[:n])
			err = errors.Join(err, werr)
		}
		if err != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

func (p *proxy) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Now().Add(d)
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) close() {
	close(p.over)
	_ = p.l.Close()
	p.cut()
	p.wg.Wait()
}
