package node

import (
	"bytes"
	"math"
	"math/big"
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

func TestMilliseconds(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 200)
	for _, tt := range []struct {
		in   any
		want int64
		ok   bool
	}{
		{uint64(0), 0, true},
		{uint64(1_999_999_999), 1, true},
		{int64(5_000_000_000), 5, true},
		{*big.NewInt(20_000_000_000), 20, true},
		{big.NewInt(20_000_000_000), 20, true},
		{*huge, 0, false},
		{int64(-1_000_000_000), 0, false},
		{"1", 0, false},
		{nil, 0, false},
	} {
		got, err := milliseconds(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%v: %d, %v", tt.in, got, err)
		}
	}
}
