package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger"
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

// FuzzDecodeBlock: a block that a node sends is an error of this package, or becomes one whose hash is its header's.
func FuzzDecodeBlock(f *testing.F) {
	files, err := filepath.Glob("../testdata/real/*_conway*.block.hex")
	if err != nil || len(files) == 0 {
		f.Fatal("no real blocks: ", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 3_000 {
			f.Add(uint(ledger.BlockTypeConway), b)
		}
	}
	f.Fuzz(func(t *testing.T, era uint, b []byte) {
		got, _, err := decodeBlock(era, b)
		if err != nil {
			if !errors.Is(err, ErrUnexpected) {
				t.Fatal(err)
			}
			return
		}
		if raw, err := chain.DecodeRawBlock(b); err == nil && era > ledger.BlockTypeByronMain && (raw.Hash() != got.Hash || len(raw.Txs) != len(got.Txs)) {
			t.Fatalf("%s with %d transactions, or %s with %d", got.Hash, len(got.Txs), raw.Hash(), len(raw.Txs))
		}
	})
}
