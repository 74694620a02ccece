package link

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestForward sends a node's proposal through a link to an echo, and cuts it.
func TestForward(t *testing.T) {
	echo, from := listen(t), listen(t)
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	ctx, cut := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Forward(ctx, from, echo.Addr().String()) }()

	hello, err := cbor.Encode(handshake.NewMsgProposeVersions(
		protocol.GetProtocolVersionMap(protocol.ProtocolModeNodeToNode, 42, protocol.DiffusionModeInitiatorAndResponder, true, false)))
	if err != nil {
		t.Fatal(err)
	}
	hello = append([]byte{6: byte(len(hello) >> 8), 7: byte(len(hello))}, hello...)
	c, err := net.Dial("tcp", from.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(hello))); err != nil {
		t.Fatalf("through the link: %v", err)
	}
	cut()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the cut")
	}
	if c, err := net.Dial("tcp", from.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("a new connection came through the cut")
	}
}
