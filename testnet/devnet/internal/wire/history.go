package wire

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"time"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"
)

// Bound is the end of an era as far as it is known.
type Bound struct {
	Slot, Epoch uint64
	Time        time.Duration // since the chain's start
}

// Horizon is the bound of the present era now.
type Horizon func() Bound

// askHistory is MsgQuery of GetInterpreter: [3, [0, [2, [0]]]].
var askHistory = []byte{0x82, 0x03, 0x82, 0x00, 0x82, 0x02, 0x81, 0x00}

const (
	answer   = 0x8000 // set in the mini-protocol of segments from the server
	toPico   = 1000   // picoseconds in a nanosecond
	eraParts = 3      // begin, end, parameters
)

// history puts the horizon into an answer to GetInterpreter. cardano-node knows the present era to 3k/f past its tip and
// on to the end of that epoch; dingo v0.66.0 says the end of the epoch under way, so that near it nothing could be given
// an upper bound. What is no such answer comes back as it is.
func history(segment []byte, horizon Horizon) []byte {
	if binary.BigEndian.Uint16(segment[4:]) != localstatequery.ProtocolId|answer ||
		int(binary.BigEndian.Uint16(segment[6:])) != len(segment)-headerSize {
		return segment
	}
	var message, eras, era, end []cbor.RawMessage
	var slot uint64
	for _, step := range []func() bool{
		func() bool { return decode(segment[headerSize:], &message) && len(message) == 2 },
		func() bool { return bytes.Equal(message[0], []byte{localstatequery.MessageTypeResult}) },
		func() bool { return decode(message[1], &eras) && len(eras) > 0 },
		func() bool { return decode(eras[len(eras)-1], &era) && len(era) == eraParts },
		func() bool { return decode(era[1], &end) && len(end) == eraParts && decode(end[1], &slot) },
	} {
		if !step() {
			return segment
		}
	}
	to := horizon()
	if to.Slot <= slot {
		return segment
	}
	pico := new(big.Int).Mul(big.NewInt(int64(to.Time)), big.NewInt(toPico))
	out := make(cbor.IndefLengthList, 0, len(eras))
	for _, e := range eras[:len(eras)-1] {
		out = append(out, e)
	}
	out = append(out, []any{era[0], []any{pico, to.Slot, to.Epoch}, era[2]})
	b, err := cbor.Encode([]any{message[0], out})
	if err != nil || len(b) > muxer.SegmentMaxPayloadLength {
		return segment
	}
	changed := append(bytes.Clone(segment[:headerSize]), b...)
	binary.BigEndian.PutUint16(changed[6:], uint16(len(b)))
	return changed
}

func decode(b []byte, to any) bool {
	n, err := cbor.Decode(b, to)
	return err == nil && n == len(b)
}
