package node

import (
	"net"

	"github.com/blinklabs-io/gouroboros/connection"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol"
	"github.com/blinklabs-io/gouroboros/protocol/handshake"
)

// queryMagic asks the peer, by the handshake's query flag, for the network magic it would accept. It returns when
// the peer has answered or nc has ended.
func queryMagic(nc net.Conn, ours uint32) (magic uint32, ok bool) {
	m := muxer.New(nc)
	answer := make(chan uint32, 1)
	versions := protocol.GetProtocolVersionMap(protocol.ProtocolModeNodeToClient, ours, false, false, true)
	cfg := handshake.NewConfig(
		handshake.WithProtocolVersionMap(versions),
		handshake.WithQueryReplyFunc(func(_ handshake.CallbackContext, theirs protocol.ProtocolVersionMap) error {
			for _, v := range theirs {
				select {
				case answer <- v.NetworkMagic():
				default:
				}
			}
			return nil
		}))
	client := handshake.NewClient(protocol.ProtocolOptions{
		ConnectionId: connection.ConnectionId{LocalAddr: nc.LocalAddr(), RemoteAddr: nc.RemoteAddr()},
		Muxer:        m,
		ErrorChan:    make(chan error, 10),
		Mode:         protocol.ProtocolModeNodeToClient,
		Role:         protocol.ProtocolRoleClient,
	}, &cfg)
	client.Start()
	m.StartOnce()
	select {
	case magic = <-answer:
		ok = true
	case <-client.DoneChan():
		select {
		case magic = <-answer:
			ok = true
		default:
		}
	}
	m.Stop()
	<-client.DoneChan()
	for range m.ErrorChan() { // closed when the multiplexer has ended
	}
	return magic, ok
}
