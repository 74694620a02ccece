package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// realBlocks are blocks of Cardano mainnet by the library's number of their era; testdata/real/README.md has the source.
var realBlocks = []struct {
	era  string
	kind uint
	hash string
}{
	{"shelley", ledger.BlockTypeShelley, "2308cdd4c0bf8b8bf92523bdd1dd31640c0f42ff079d985fcc07c36cbf915c2b"},
	{"allegra", ledger.BlockTypeAllegra, "8115134ab013f6a5fd88fd2a10825177a2eedcde31cb2f1f35e492df469cf9a8"},
	{"mary", ledger.BlockTypeMary, "d36ab36f451e9fcbd4247daef45ce5be9a4b918fce5ee97a63b8aeac606fca03"},
	{"alonzo", ledger.BlockTypeAlonzo, "1d7974cb01cc9e3fbe9dd7594795a36b21cb1deb2f1b70a0625332c91bd7e5a7"},
	{"babbage", ledger.BlockTypeBabbage, "db19fcfaba30607e363113b0a13616e6a9da5aa48b86ec2c033786f0a2e13f7d"},
	{"conway", ledger.BlockTypeConway, "27807a70215e3e018eec9be8c619c692e06a78ebcb63daf90d7abe823f3bbf47"},
}

func readHex(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "real", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func items(t *testing.T, b []byte) [][]byte {
	t.Helper()
	all, err := chain.Items(b)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRealBlocks: our reader finds every transaction of a block where it is, byte for byte, and so does the library
// whose blocks the index is made of.
func TestRealBlocks(t *testing.T) {
	for _, c := range realBlocks {
		t.Run(c.era, func(t *testing.T) {
			raw := readHex(t, "mainnet_"+c.era+".block.hex")
			block, err := ledger.NewBlockFromCbor(c.kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			parts := items(t, raw)
			if h := blake2b.Sum256(parts[0]); hex.EncodeToString(h[:]) != c.hash || block.Hash().String() != c.hash {
				t.Errorf("hash %x, the library says %s", h, block.Hash())
			}
			bodies, witnesses := items(t, parts[1]), items(t, parts[2])
			if len(bodies) != len(block.Transactions()) || len(witnesses) != len(bodies) || len(bodies) == 0 {
				t.Fatalf("%d bodies, %d witness sets, %d transactions", len(bodies), len(witnesses), len(block.Transactions()))
			}
			for i, tx := range block.Transactions() {
				b, err := chain.BlockTxFrom(tx)
				if err != nil {
					t.Fatal(err)
				}
				if h := blake2b.Sum256(bodies[i]); chain.TxID(h) != b.ID {
					t.Errorf("transaction %d: id %x, the library says %s", i, h, b.ID)
				}
				checkReal(t, tx, b)
			}
		})
	}
}

// checkReal holds what we make of a decoded transaction against the library's own view, and every part that we can
// write against its original bytes.
func checkReal(t *testing.T, tx lcommon.Transaction, b chain.BlockTx) {
	t.Helper()
	if len(b.Inputs) != len(tx.Consumed()) || b.Fee != chain.Lovelace(tx.Fee().Uint64()) || b.Until != chain.Slot(tx.TTL()) {
		t.Errorf("%s: %d inputs, fee %d, until %d", b.ID, len(b.Inputs), b.Fee, b.Until)
	}
	for _, u := range b.Outputs {
		o := tx.Outputs()[u.Ref.Index]
		again, err := chain.DecodeOutput(u.Encode())
		if err != nil || !bytes.Equal(again.Encode(), u.Encode()) {
			t.Errorf("%s: %v", u.Ref, err)
		}
		// An output in the map form (0xa2…a4) with canonical contents is written as it was read.
		if raw := o.Cbor(); raw[0] == 0xa2 && u.Script == nil && !bytes.Equal(raw, u.Encode()) && len(u.Value.Assets) == 0 {
			t.Errorf("%s: %x becomes %x", u.Ref, raw, u.Encode())
		}
		if u.Value.Coin != chain.Lovelace(o.Amount().Uint64()) {
			t.Errorf("%s: %d lovelace, the library says %s", u.Ref, u.Value.Coin, o.Amount())
		}
	}
	if w := tx.Witnesses(); w != nil && w.Redeemers() != nil {
		for _, v := range w.Redeemers().Iter() {
			checkData(t, v.Data.Cbor())
		}
	}
}

// checkData: data that came in our encoding goes out in it; any other is read, and written in ours.
func checkData(t *testing.T, b []byte) {
	t.Helper()
	d, err := chain.DecodeData(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	out, err := chain.EncodeData(d)
	if err != nil || !chain.IsCanonicalData(out) || chain.IsCanonicalData(b) != bytes.Equal(b, out) {
		t.Errorf("%x becomes %x: %v", b, out, err)
	}
}

// realTxs are transactions of public networks, and why each is none that Tally reads to sign: sets without a tag, an
// output that names its datum by its hash, outputs in the form of a list.
var realTxs = map[string]struct{ id, refused string }{
	"mainnet_2fa76b363d7dd89f": {"2fa76b363d7dd89f396ff55b2004f8217fe0715a44a78e8752a35cee76004c75", "want a tag"},
	"preview_02eb5d86d6ba4dc7": {"02eb5d86d6ba4dc7bd79b5c01b0fdde01be4b5d363ba0dba1bc9d4d422529138", "only inline datums are read"},
	"preview_3a22f18fa4a02bf6": {"3a22f18fa4a02bf680307bc2719acd77e6ec343613518f136f9a50365f0ce86e", "want a map"},
	"preview_74cc932d2531dce9": {"74cc932d2531dce9c7be78965d365064534e80c48188f7f97577005101b6c3b8", "want a map"},
	"preview_7e32983975bd5294": {"7e32983975bd529484ac5d4f2e930d5e8e98a5dcc2dabbc64880da60d294081d", "want a map"},
	"preview_eaf4bf2f88823720": {"eaf4bf2f888237207777c6b6c0c6d1dd7b355487d9b9f51bb3e22a6f3b3f000d", "want a map"},
}

// TestRealTxs: a stranger's transaction is read to the same bytes, or refused by name; its id is right either way.
func TestRealTxs(t *testing.T) {
	for name, c := range realTxs {
		t.Run(name, func(t *testing.T) {
			raw := readHex(t, name+".tx.hex")
			if h := blake2b.Sum256(items(t, raw)[0]); hex.EncodeToString(h[:]) != c.id {
				t.Errorf("id %x", h)
			}
			kind, err := ledger.DetermineTransactionType(raw)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := ledger.NewTransactionFromCbor(kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			b, err := chain.BlockTxFrom(decoded)
			if err != nil || b.ID.String() != c.id {
				t.Fatalf("%s: %v", b.ID, err)
			}
			checkReal(t, decoded, b)
			tx, err := chain.DecodeTx(raw)
			if c.refused != "" {
				if !errors.Is(err, chain.ErrMalformed) || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("want %q, got %v", c.refused, err)
				}
				return
			}
			if err != nil || !bytes.Equal(tx.Bytes(), raw) {
				t.Errorf("not read to the same bytes: %v", err)
			}
		})
	}
}
