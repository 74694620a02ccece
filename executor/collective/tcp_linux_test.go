package collective

import (
	"net"
	"testing"
)

func TestRoundTripIsTheSystems(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, took, err := dialTCP(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Reset() }()
	if rtt := roundTrip(c.Conn); rtt <= 0 || took > rtt {
		t.Errorf("the system says %v, the lane is laid for %v", rtt, took)
	}
	if rtt := roundTrip(nil); rtt != 0 {
		t.Errorf("of no connection it says %v", rtt)
	}
}
