package collective

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// soon is for ranks that are not reached directly, whatever time they have.
const soon = 100 * time.Millisecond

func pathHost(t *testing.T, opts ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append(opts, libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// throughRelay are two agents that reach each other through a relay only, and the relay.
func throughRelay(t *testing.T, limit *relay.RelayLimit) (*world, peer.ID) {
	t.Helper()
	between := pathHost(t, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
	resources := relay.DefaultResources()
	resources.Limit = limit
	r, err := relay.New(between, relay.WithResources(resources))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	info := peer.AddrInfo{ID: between.ID(), Addrs: between.Addrs()}
	circuit, err := ma.NewMultiaddr(fmt.Sprintf("%s/p2p/%s/p2p-circuit", between.Addrs()[0], between.ID()))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{tb: t, job: JobID{1}}
	for range 2 {
		h := pathHost(t, libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.EnableRelay(),
			libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return []ma.Multiaddr{circuit} }))
		if err := h.Connect(t.Context(), info); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Reserve(t.Context(), h, info); err != nil {
			t.Fatal(err)
		}
		s := NewService(h, quiet())
		t.Cleanup(func() { _ = s.Close() })
		w.hosts, w.services = append(w.hosts, h), append(w.services, s)
	}
	return w, between.ID()
}

// join has all agents join, and gives their errors.
func (w *world) join(o Options) []error {
	w.groups = make([]*Group, len(w.hosts))
	return w.each(func(r int) (err error) {
		w.groups[r], err = w.services[r].Join(w.tb.Context(), w.view(r), o)
		return err
	})
}

// works sums over the group, and wants each rank to say of the other how it is reached.
func (w *world) works(t *testing.T, says ...string) {
	t.Helper()
	const size = 60_000 // more than a relay passes by default
	w.all(func(r int) error {
		dst := make([]float32, size)
		if err := w.groups[r].Do(t.Context(), sum(dst, inputs(r, size), Sum)); err != nil {
			return err
		}
		if dst[7] != value(0, 7)+value(1, 7) {
			return errors.New("the sum is wrong")
		}
		paths := fmt.Sprint(w.groups[r].Paths())
		for _, say := range says {
			if !strings.Contains(paths, fmt.Sprintf("rank %d is reached", 1-r)) || !strings.Contains(paths, say) {
				return fmt.Errorf("it is said of the others: %s, want %q", paths, say)
			}
		}
		if len(says) == 0 && paths != "[]" {
			return fmt.Errorf("it is said of the others: %s", paths)
		}
		return nil
	})
	w.close()
}

func TestRelayWithoutLimits(t *testing.T) {
	w, between := throughRelay(t, nil)
	for r, err := range w.join(Options{Direct: soon}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	w.works(t, "through relay "+between.String())
}

func TestRelayWhoseLimitsFit(t *testing.T) {
	w, between := throughRelay(t, &relay.RelayLimit{Data: 8 << 20, Duration: time.Hour})
	for r, err := range w.join(Options{Direct: soon, Bytes: 4 << 20, Time: 30 * time.Minute}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	w.works(t, between.String(), "8388608 bytes each way", "for 1h0m0s")
}

// TestRelayThatDoesNotFit has both ranks say who they are, what passes between them and what does not.
func TestRelayThatDoesNotFit(t *testing.T) {
	for name, o := range map[string]Options{
		"too many bytes": {Direct: soon, Bytes: 9 << 20, Time: time.Minute},
		"for too long":   {Direct: soon, Bytes: 1 << 20, Time: 2 * time.Hour},
		"not known":      {Direct: soon},
	} {
		t.Run(name, func(t *testing.T) {
			w, between := throughRelay(t, &relay.RelayLimit{Data: 8 << 20, Duration: time.Hour})
			for r, err := range w.join(o) {
				if !errors.Is(err, ErrPath) {
					t.Fatalf("rank %d: %v", r, err)
				}
				for _, say := range []string{
					w.hosts[0].ID().String(), w.hosts[1].ID().String(), "rank 0", "rank 1", between.String(), "8388608 bytes each way for 1h0m0s since ", o.needs(),
				} {
					if !strings.Contains(err.Error(), say) {
						t.Errorf("rank %d says %q, without %q", r, err, say)
					}
				}
			}
		})
	}
}

// TestQUICWhereThereIsNothingElse has ranks that listen for QUIC only.
func TestQUICWhereThereIsNothingElse(t *testing.T) {
	w := &world{tb: t, job: JobID{2}}
	for range 2 {
		h := pathHost(t, libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(quic.NewTransport), libp2p.DisableRelay())
		s := NewService(h, quiet())
		t.Cleanup(func() { _ = s.Close() })
		w.hosts, w.services = append(w.hosts, h), append(w.services, s)
	}
	for r, err := range w.join(Options{}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	w.works(t, "over QUIC")
}

// TestDirectOnceThereIsAWay has two ranks connected through a relay, and then directly before their time is over.
func TestDirectOnceThereIsAWay(t *testing.T) {
	w, _ := throughRelay(t, &relay.RelayLimit{Data: 128 << 10, Duration: 2 * time.Minute})
	listen, err := ma.NewMultiaddr("/ip4/127.0.0.1/tcp/0")
	if err != nil {
		t.Fatal(err)
	}
	for r, h := range w.hosts {
		h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
			if pathOf(c).relay == "" || r != 1 {
				return
			}
			go func() { // as hole punching does
				if err := w.hosts[0].Network().Listen(listen); err != nil {
					t.Error(err)
					return
				}
				at := peer.AddrInfo{ID: w.hosts[0].ID(), Addrs: w.hosts[0].Network().ListenAddresses()}
				ctx := network.WithForceDirectDial(context.Background(), "a hole")
				if err := h.Connect(ctx, at); err != nil {
					t.Error(err)
				}
			}()
		}})
	}
	for r, err := range w.join(Options{}) {
		if err != nil {
			t.Fatalf("rank %d: %v", r, err)
		}
	}
	w.works(t)
}

func TestWhatARelayCarries(t *testing.T) {
	hour := path{limited: true, data: 1000, within: time.Hour, age: time.Minute}
	for _, c := range []struct {
		path  path
		job   Options
		wants bool
	}{
		{path{}, Options{}, true},
		{path{limited: true}, Options{}, true}, // of zero of each
		{hour, Options{}, false},
		{hour, Options{Bytes: 1000}, false},
		{hour, Options{Time: time.Minute}, false},
		{hour, Options{Bytes: 1000, Time: 59 * time.Minute}, true},
		{hour, Options{Bytes: 1001, Time: time.Minute}, false},
		{hour, Options{Bytes: 1, Time: 59*time.Minute + 1}, false},
		{path{limited: true, within: time.Hour}, Options{Time: time.Minute}, true},
		{path{limited: true, data: 1000}, Options{Bytes: 1000}, true},
	} {
		if got := c.path.carries(c.job); got != c.wants {
			t.Errorf("%v carries a job that passes %s: %v", c.path, c.job.needs(), got)
		}
	}
}
