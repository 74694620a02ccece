//go:build bench && linux

package collective

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
)

// inPlain is f32 over lanes that the benchmark makes of bare TCP connections, for what encryption costs: the engine itself
// has no way to speak so.
const inPlain = "plain"

// bare is such a lane. What is written goes out as it is, and what is read comes straight to where it belongs.
type bare struct{ net.Conn }

func (b bare) Reset() error { return b.Close() }

// bareLanes are this rank's to each other, for each lane of operations without names.
func bareLanes(t *testing.T, g *Group) (lanes [orderedLanes][]stream) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ports := make([]byte, 2*g.Size())
	mine := binary.LittleEndian.AppendUint16(nil, uint16(l.Addr().(*net.TCPAddr).Port))
	if err := g.Do(t.Context(), Operation{Kind: AllGather, Src: mine, Dst: ports}); err != nil {
		t.Fatal(err)
	}
	for i := range lanes {
		lanes[i] = make([]stream, g.Size())
		for r := range g.Rank() {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", binary.LittleEndian.Uint16(ports[2*r:])))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte{byte(i), byte(g.Rank())}); err != nil {
				t.Fatal(err)
			}
			lanes[i][r] = bare{raw(c)}
		}
	}
	for range orderedLanes * (g.Size() - 1 - g.Rank()) {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var who [2]byte
		if _, err := io.ReadFull(c, who[:]); err != nil {
			t.Fatal(err)
		}
		lanes[who[0]][who[1]] = bare{raw(c)}
	}
	return lanes
}

// swap has a group use other lanes, and gives those it had. Nothing is under way.
func swap(g *Group, lanes [orderedLanes][]stream) (had [orderedLanes][]stream) {
	for i := range lanes {
		had[i] = make([]stream, g.Size())
		for r, p := range g.lanes[i].pipes {
			if p != nil {
				had[i][r], p.stream = p.stream, lanes[i][r]
			}
		}
	}
	return had
}
