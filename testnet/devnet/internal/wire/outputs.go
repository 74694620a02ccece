package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/muxer"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"
)

// utxoByAddress is GetUTxOByAddress among the queries of a ledger's state.
const utxoByAddress = 6

// askedFor are the addresses of a MsgQuery of GetUTxOByAddress, [3, [0, [0, [era, [6, addresses]]]]]; nil: it is none.
func askedFor(message []byte) [][]byte {
	var outer, query, block, ledger, inner []cbor.RawMessage
	var addresses [][]byte
	for _, step := range []func() bool{
		func() bool {
			return decode(message, &outer) && len(outer) == 2 && is(outer[0], localstatequery.MessageTypeQuery)
		},
		func() bool { return decode(outer[1], &query) && len(query) == 2 && is(query[0], 0) },
		func() bool { return decode(query[1], &block) && len(block) == 2 && is(block[0], 0) },
		func() bool { return decode(block[1], &ledger) && len(ledger) == 2 },
		func() bool { return decode(ledger[1], &inner) && len(inner) == 2 && is(inner[0], utxoByAddress) },
		func() bool { return decodeSet(inner[1], &addresses) },
	} {
		if !step() {
			return nil
		}
	}
	return addresses
}

func is(raw []byte, n uint64) bool {
	var v uint64
	return decode(raw, &v) && v == n
}

// decodeSet decodes a list with the tag of a set before it or without.
func decodeSet(raw []byte, to any) bool {
	var tagged cbor.RawTag
	if decode(raw, &tagged) {
		raw = tagged.Content
	}
	return decode(raw, to)
}

// exact takes out of a MsgResult of GetUTxOByAddress the outputs of other addresses than those asked for: dingo v0.66.0
// looks for credentials, and so gives an address without a stake credential the outputs of those that have one. What is
// no such message comes back as it is.
func exact(message []byte, addresses [][]byte) []byte {
	var outer []cbor.RawMessage
	var found struct {
		cbor.StructAsArray
		Outputs map[localstatequery.UtxoId]cbor.RawMessage
	}
	if !decode(message, &outer) || len(outer) != 2 || !is(outer[0], localstatequery.MessageTypeResult) || !decode(outer[1], &found) {
		return message
	}
	all := len(found.Outputs)
	for id, o := range found.Outputs {
		if a := addressOf(o); a != nil && !slices.ContainsFunc(addresses, func(b []byte) bool { return string(a) == string(b) }) {
			delete(found.Outputs, id)
		}
	}
	if len(found.Outputs) == all {
		return message
	}
	b, err := cbor.Encode([]any{outer[0], found})
	if err != nil {
		return message
	}
	return b
}

// addressOf is an output's address, in either form of outputs.
func addressOf(output []byte) (a []byte) {
	var list []cbor.RawMessage
	var fields map[uint64]cbor.RawMessage
	switch {
	case decode(output, &list) && len(list) > 0:
		decode(list[0], &a)
	case decode(output, &fields):
		decode(fields[0], &a)
	}
	return a
}

// whole says whether these are all bytes of a message, or of what is none.
func whole(message []byte) bool {
	var raw cbor.RawMessage
	_, err := cbor.Decode(message, &raw)
	return !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// segments are those of a message, with the head of one of the segments that it came in.
func segments(head, message []byte) (out []byte) {
	for part := range slices.Chunk(message, muxer.SegmentMaxPayloadLength) {
		out = append(out, head...)
		binary.BigEndian.PutUint16(out[len(out)-2:], uint16(len(part)))
		out = append(out, part...)
	}
	return out
}
