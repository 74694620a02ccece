package collective

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// straightLanes counts the lanes between two ranks that go past libp2p.
func (w *world) straightLanes(a, b int) (n int) {
	for _, p := range w.groups[a].links[b].pipes {
		if _, is := p.stream.(network.Stream); !is {
			n++
		}
	}
	return n
}

func TestStraightLanes(t *testing.T) {
	w := newWorld(t, 3, Options{})
	for a := range 3 {
		for b := range 3 {
			want := lanes
			if a == 2 || b == 2 { // who has no port for them
				want = 0
			}
			if a != b && w.straightLanes(a, b) != want {
				t.Errorf("%d straight lanes between ranks %d and %d, want %d", w.straightLanes(a, b), a, b, want)
			}
		}
	}
	checkSum(t, w, 500_000, false)
	w.close()
}

// TestStraightLanesThatCannotBeReached has a firewall before the port.
func TestStraightLanesThatCannotBeReached(t *testing.T) {
	w := newHosts(t, 2)
	for _, s := range w.services {
		_ = s.straight.listener.Close()
	}
	w.groups = make([]*Group, 2)
	w.all(func(r int) (err error) {
		w.groups[r], err = w.services[r].Join(t.Context(), w.view(r), Options{})
		return err
	})
	if n := w.straightLanes(0, 1); n != 0 {
		t.Errorf("%d lanes through a closed port", n)
	}
	checkSum(t, w, 500_000, false)
	w.close()
}

// TestStraightStrangers has connections to the port that are not of the group: none gets in, none stops it.
func TestStraightStrangers(t *testing.T) {
	w := newWorld(t, 2, Options{})
	at := w.services[0].straight.listener.Addr().String()
	for name, call := range map[string]func(c net.Conn) error{
		"says nothing": func(net.Conn) error { return nil },
		"no TLS":       func(c net.Conn) error { _, err := c.Write(make([]byte, 4096)); return err },
		"no identity": func(c net.Conn) error {
			return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{straightALPN}}).Handshake()
		},
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = call(c) // refused then, or when the other end has looked at it
		if name != "says nothing" {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			if n, err := io.Copy(io.Discard, c); err != nil && n > 4096 {
				t.Errorf("%s: got %d bytes, %v", name, n, err)
			}
		}
		_ = c.Close()
	}
	stranger := newHost(t)
	s := NewService(stranger, quiet())
	defer func() { _ = s.Close() }()
	if err := s.ListenStraight(); err != nil {
		t.Fatal(err)
	}
	v := w.view(0)
	h := hello{kind: kindLane, epoch: 1, from: 1, to: 0, size: 2, job: w.job, view: v.hash()}
	if _, err := s.dialStraight(t.Context(), w.hosts[0].ID(), at, h); err == nil {
		t.Error("a stranger got a lane")
	}
	if _, err := s.dialStraight(t.Context(), w.hosts[1].ID(), at, h); err == nil {
		t.Error("a peer passed for another")
	}
	checkSum(t, w, 100_000, false)
	w.close()
}
