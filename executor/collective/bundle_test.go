package collective

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestConnectionsByLine(t *testing.T) {
	for _, c := range []struct {
		rtt        time.Duration
		size, want int
	}{
		{200 * time.Microsecond, 2, 1},
		{3 * time.Millisecond, 2, 1},
		{20 * time.Millisecond, 2, 4},
		{150 * time.Millisecond, 32, 8},
		{150 * time.Millisecond, 64, 4},
		{20 * time.Millisecond, MaxPeers, 1},
	} {
		if n := connsFor(c.rtt, c.size); n != c.want {
			t.Errorf("%d connections a lane over %v for %d ranks, want %d", n, c.rtt, c.size, c.want)
		}
	}
}

// TestBundledLanes has every rank take its lines for long ones.
func TestBundledLanes(t *testing.T) {
	w := newHosts(t, 5)
	for _, s := range w.services {
		if s.straight != nil {
			s.straight.conns = func(time.Duration, int) int { return 3 }
		}
	}
	w.groups = make([]*Group, len(w.hosts))
	w.all(func(r int) (err error) {
		w.groups[r], err = w.services[r].Join(t.Context(), w.view(r), Options{})
		return err
	})
	for a, b := range map[int]int{0: 1, 1: 0, 3: 4, 4: 0} {
		for i, p := range w.groups[a].links[b].pipes {
			if got, is := p.stream.(*bundle); !is || len(got.conns) != 3 {
				t.Errorf("lane %d of ranks %d and %d is %T", i, a, b, p.stream)
			}
		}
	}
	checkSum(t, w, 1000, false)
	checkSum(t, w, 1_000_003, false)
	checkSum(t, w, 500_000, true)
	w.close()
	for r, s := range w.services {
		if s.straight != nil && (len(s.straight.known) > 0 || s.straight.count != 0) {
			t.Errorf("rank %d: %d connections wait for others", r, s.straight.count)
		}
	}
}

// TestGathering holds what has come of a bundle for as long as a handshake may take, and no more than there is room for.
func TestGathering(t *testing.T) {
	conn := func() *straightStream {
		a, b := net.Pipe()
		t.Cleanup(func() { _ = b.Close() })
		return newStraight(a)
	}
	ended := func(c *straightStream) bool {
		_, err := c.Conn.Write([]byte{1})
		return err != nil
	}
	k := func(n byte, at, of byte) gatherKey {
		return gatherKey{"peer", join{bundle: [16]byte{n}, at: at, of: of}}
	}
	var g gathering
	first, second := conn(), conn()
	if b, err := g.add(k(1, 1, 2), second); b != nil || err != nil {
		t.Fatal(b, err)
	}
	if _, err := g.add(k(1, 1, 2), conn()); !errors.Is(err, ErrFrame) {
		t.Errorf("two have one place: %v", err)
	}
	if b, err := g.add(gatherKey{"another", k(1, 0, 2).join}, conn()); b != nil || err != nil {
		t.Errorf("another peer's connection is taken for this one's: %v, %v", b, err)
	}
	b, err := g.add(k(1, 0, 2), first)
	if err != nil || b == nil || b.conns[0] != first || b.conns[1] != second {
		t.Fatalf("%v, %v", b, err)
	}
	late := conn()
	if _, err := g.add(k(2, 0, 2), late); err != nil {
		t.Fatal(err)
	}
	waiting := k(2, 0, 2)
	g.forget(waiting, b)
	if g.known[waiting] == nil {
		t.Error("one that is not it has been forgotten")
	}
	g.forget(waiting, g.known[waiting])
	if !ended(late) || g.count != 1 {
		t.Errorf("what has not come whole still waits, with %d others", g.count)
	}
	for g.count < maxGathering {
		if _, err := g.add(k(byte(g.count), byte(g.count>>8), 8), conn()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.add(k(0, 7, 8), conn()); err == nil {
		t.Error("there is room for ever more")
	}
	g.end()
}

// TestBundleNamesItsConnections has a record say that the next one comes over a connection that is not there.
func TestBundleNamesItsConnections(t *testing.T) {
	var wires [2]tape
	from, to := &bundle{}, &bundle{}
	for i := range wires {
		dialer, acceptor := ends(&wires[i])
		from.conns, to.conns = append(from.conns, dialer), append(to.conns, acceptor)
	}
	b := make([]byte, 3*recordBytes)
	if n, err := from.Write(b); n != len(b) || err != nil {
		t.Fatal(n, err)
	}
	if _, err := io.ReadFull(to, b); err != nil {
		t.Fatal(err)
	}
	if _, err := from.conns[from.out].send([]byte{1}, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Read(b); !errors.Is(err, ErrFrame) {
		t.Errorf("connection 2 of 2: %v", err)
	}
}

func FuzzJoin(f *testing.F) {
	f.Add(join{bundle: [16]byte{1, 2}, at: 3, of: 8}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := decodeJoin(b)
		if err == nil && (!bytes.Equal(j.encode(), b) || j.at >= j.of || j.of > mostConns) {
			t.Fatalf("%x decodes to %+v, which encodes otherwise", b, j)
		}
	})
}
