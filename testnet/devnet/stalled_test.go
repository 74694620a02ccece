package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

// TestStalledClients leaves twenty clients in the middle of their handshakes while another connects and pays.
func TestStalledClients(t *testing.T) {
	t.Parallel()
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice))
	segment := func(length int, payload []byte) []byte { // of the handshake, mini-protocol 0
		return append([]byte{6: byte(length >> 8), 7: byte(length)}, payload...)
	}
	proposal := func(magic uint32, query bool) []byte {
		b := encode(t, handshake.NewMsgProposeVersions(protocol.GetProtocolVersionMap(
			protocol.ProtocolModeNodeToClient, magic, protocol.DiffusionModeInitiatorOnly, false, query)))
		return segment(len(b), b)
	}
	good := proposal(node.Magic, false)
	open := func(send []byte) net.Conn {
		c, err := net.Dial("unix", node.Socket)
		ok(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = c.Write(send)
		ok(t, err)
		return c
	}
	for n := range 20 {
		open([][]byte{
			nil,                           // connects only
			good[:5],                      // half a segment's header
			good[:20],                     // half a segment
			segment(5, good[8:13]),        // a whole segment with half a proposal
			good,                          // the whole proposal, and nothing after it
			proposal(node.Magic, true),    // asks for the versions only
			proposal(node.Magic+1, false), // on another network
			good[8:],                      // no segment
			segment(60_000, good[8:]),     // announces more than it sends
		}[n%9])
		c := open(good)
		ok(t, c.SetReadDeadline(time.Now().Add(patience)))
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			t.Fatalf("behind %d stalled clients the handshake is not answered: %v", n+1, err)
		}
		ok(t, c.Close())
	}
	c := dial(t, node.announcement)
	c.accepted(t, pay(c, alice, wallet(t, c, alice), bob.address(), 5_000_000).bytes(t))
}

// TestStalledStart gives a start too little time for a block: slots of a minute.
func TestStalledStart(t *testing.T) {
	t.Parallel()
	said := refused(t, "run", "--dir", t.TempDir(), "--fund", fund(newKey(1)), "--slot-length", "1m", "--start-within", "3s")
	if !strings.Contains(said, "the chain does not advance: no block after slot 0 within 3s") || !strings.Contains(said, "node.log") {
		t.Errorf("it said %q", said)
	}
}
