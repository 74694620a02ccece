package node

import (
	"bytes"
	"math"
	"testing"

	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"

	"github.com/tallycompute/tally/chain"
)

func FuzzTxID(f *testing.F) {
	f.Add([]byte{0x84, 0xa0, 0xa0, 0xf5, 0xf6})
	f.Add([]byte{0x83, 0xa0, 0xa0, 0xf5})
	f.Add(bytes.Repeat([]byte{0x9f}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := txID(b)
		if (err == nil) == (id == chain.TxID{}) {
			t.Errorf("%x: %s, %v", b, id, err)
		}
	})
}

func FuzzPoint(f *testing.F) {
	f.Add(uint64(0), []byte{})
	f.Add(uint64(7), bytes.Repeat([]byte{1}, 32))
	f.Add(uint64(math.MaxUint64), []byte{1, 2})
	f.Fuzz(func(t *testing.T, slot uint64, hash []byte) {
		p, err := fromPoint(pcommon.NewPoint(slot, hash))
		if err != nil || p == (chain.Point{}) {
			return
		}
		if q := toPoint(p); q.Slot != slot || !bytes.Equal(q.Hash, hash) {
			t.Errorf("%d %x is read as %v", slot, hash, p)
		}
	})
}
