package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// realBlocks are blocks of public networks, by file and hash; testdata/real/README.md has their sources.
var realBlocks = map[string]string{
	"mainnet_shelley":                  "2308cdd4c0bf8b8bf92523bdd1dd31640c0f42ff079d985fcc07c36cbf915c2b",
	"mainnet_allegra":                  "8115134ab013f6a5fd88fd2a10825177a2eedcde31cb2f1f35e492df469cf9a8",
	"mainnet_mary":                     "d36ab36f451e9fcbd4247daef45ce5be9a4b918fce5ee97a63b8aeac606fca03",
	"mainnet_alonzo":                   "1d7974cb01cc9e3fbe9dd7594795a36b21cb1deb2f1b70a0625332c91bd7e5a7",
	"mainnet_babbage":                  "db19fcfaba30607e363113b0a13616e6a9da5aa48b86ec2c033786f0a2e13f7d",
	"mainnet_conway":                   "27807a70215e3e018eec9be8c619c692e06a78ebcb63daf90d7abe823f3bbf47",
	"preprod_babbage_80d02d3c9a576af6": "80d02d3c9a576af65e4f36b95a57ae528b62c14836282fbd8d6a93aa1fef557f",
	"preprod_babbage_40a3d87d796ade66": "40a3d87d796ade6686c21c35ef0cedc7e2a792452f418c24b34403d606ef9a0e",
	"preprod_babbage_1fc52cb9c93e7ea7": "1fc52cb9c93e7ea7d5985a581c43a91f9b51c011173717c2d60d9f37d55fc129",
	"preprod_babbage_c576d670f8c011b1": "c576d670f8c011b1ddb507bc3b70bab50738d0e6290e29804c99e969cb74a156",
	"preprod_babbage_d51f1cd7d29585e4": "d51f1cd7d29585e4faeb97202b09124eb7d4789d1a32a0309516d00d66551e42",
	"preprod_conway_0df40008e40348c4":  "0df40008e40348c40cdc3b92a1e31d0e55675ddf2bb05ff7683b38a837048bca",
	"preprod_conway_313e774e32c23b36":  "313e774e32c23b3691751e62d6b57181538cf3164b242505919bce29226de19f",
	"preprod_conway_34392c5375de73e8":  "34392c5375de73e82e88fafcc15d1e7657a06b9ffd962dc2e9262136fd5e8051",
	"preprod_conway_b99a61170fcdb5ba":  "b99a61170fcdb5bade252be2cb0fa6e3ac550b9f5cc4e9d001eda88291eb9de7",
	"preprod_conway_b9bef52dd8dedf99":  "b9bef52dd8dedf992837d20c18399a284d80fde0ae9435f2a33649aaee7c5698",
	"preprod_conway_de653d0afb19515a":  "de653d0afb19515af20cb01784d312794860a4e357ead5ad874b7de11c61690c",
	"preprod_conway_e1b90d83d6ae8986":  "e1b90d83d6ae89860e2d1a0f398355cd4ed6defddb028dd610748d1f5610b546",
}

// realTxs are transactions of public networks by file, with their ids.
var realTxs = map[string]string{
	"mainnet_2fa76b363d7dd89f": "2fa76b363d7dd89f396ff55b2004f8217fe0715a44a78e8752a35cee76004c75",
	"mainnet_90bd64b133e327da": "90bd64b133e327daecfa0cc60c26f3b96fc6f0285a6d96cc122819908b3aaf93",
	"preprod_1825d08e4496cca6": "1825d08e4496cca673fd9e47898b92cf97fdc293a40cf5cff99c5b123b364384",
	"preprod_c9bb9b7c5b3ec5c3": "c9bb9b7c5b3ec5c3282faa07bf06f38b0c99f0a9b499c198a4db54cce219e6e0",
	"preview_02eb5d86d6ba4dc7": "02eb5d86d6ba4dc7bd79b5c01b0fdde01be4b5d363ba0dba1bc9d4d422529138",
	"preview_3a22f18fa4a02bf6": "3a22f18fa4a02bf680307bc2719acd77e6ec343613518f136f9a50365f0ce86e",
	"preview_74cc932d2531dce9": "74cc932d2531dce9c7be78965d365064534e80c48188f7f97577005101b6c3b8",
	"preview_7e32983975bd5294": "7e32983975bd529484ac5d4f2e930d5e8e98a5dcc2dabbc64880da60d294081d",
	"preview_eaf4bf2f88823720": "eaf4bf2f888237207777c6b6c0c6d1dd7b355487d9b9f51bb3e22a6f3b3f000d",
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

var eraOfBlock = map[string]uint{
	"shelley": ledger.BlockTypeShelley, "allegra": ledger.BlockTypeAllegra, "mary": ledger.BlockTypeMary,
	"alonzo": ledger.BlockTypeAlonzo, "babbage": ledger.BlockTypeBabbage, "conway": ledger.BlockTypeConway,
}

// TestRealBlocks: a block and each transaction in it are taken apart and put together to the same bytes, and what we
// read in them is what the library reads that the index is made of.
func TestRealBlocks(t *testing.T) {
	for name, hash := range realBlocks {
		t.Run(name, func(t *testing.T) {
			raw := readHex(t, name+".block.hex")
			theirs, err := ledger.NewBlockFromCbor(eraOfBlock[strings.Split(name, "_")[1]], raw)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := chain.DecodeRawBlock(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours.Bytes(), raw) {
				t.Error("put together it is another block")
			}
			if ours.Hash().String() != hash || theirs.Hash().String() != hash {
				t.Errorf("hash %s, the library says %s", ours.Hash(), theirs.Hash())
			}
			if len(ours.Txs) != len(theirs.Transactions()) {
				t.Fatalf("%d transactions, the library has %d", len(ours.Txs), len(theirs.Transactions()))
			}
			for i, tx := range theirs.Transactions() {
				checkReal(t, tx, ours.Txs[i])
			}
		})
	}
}

// TestRealTxs: a stranger's transaction is written as it was read.
func TestRealTxs(t *testing.T) {
	for name, id := range realTxs {
		t.Run(name, func(t *testing.T) {
			raw := readHex(t, name+".tx.hex")
			kind, err := ledger.DetermineTransactionType(raw)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := ledger.NewTransactionFromCbor(kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := chain.DecodeRawTx(raw)
			if err != nil || ours.ID().String() != id || !bytes.Equal(ours.Bytes(), raw) {
				t.Fatalf("%s becomes %x: %v", ours.ID(), ours.Bytes(), err)
			}
			checkReal(t, theirs, ours)
		})
	}
}

// checkReal holds what we make of a transaction against the library's view of it, in every form that we have.
func checkReal(t *testing.T, theirs lcommon.Transaction, raw chain.RawTx) {
	t.Helper()
	b, err := chain.BlockTxFrom(theirs)
	if err != nil || b.ID != raw.ID() || raw.Valid == b.Invalid || b.Fee != chain.Lovelace(theirs.Fee().Uint64()) {
		t.Fatalf("%s, the library says %+v: %v", raw.ID(), b, err)
	}
	again, err := chain.DecodeRawTx(raw.Bytes())
	if err != nil || !bytes.Equal(again.Bytes(), raw.Bytes()) || again.Valid != raw.Valid || again.ID() != b.ID {
		t.Errorf("%s: alone it becomes %x: %v", b.ID, again.Bytes(), err)
	}
	redeemers, err := raw.Redeemers()
	if err != nil {
		t.Errorf("%s: %v", b.ID, err)
	}
	for _, r := range redeemers {
		checkData(t, r.Data)
	}
	if theirs.Witnesses() != nil && theirs.Witnesses().Redeemers() != nil {
		n := 0
		for range theirs.Witnesses().Redeemers().Iter() {
			n++
		}
		if n != len(redeemers) {
			t.Errorf("%s: %d redeemers, the library has %d", b.ID, len(redeemers), n)
		}
	}
	body, err := raw.Inspect()
	if err != nil {
		if !strings.Contains(err.Error(), "an address of the Byron era") || !paysByron(theirs) {
			t.Errorf("%s: %v", b.ID, err)
		}
		return
	}
	checkView(t, theirs, &body)
	checkSigned(t, raw)
}

// paysByron says whether a transaction pays an address of a kind that our addresses do not have.
func paysByron(tx lcommon.Transaction) bool {
	return slices.ContainsFunc(tx.Outputs(), func(o lcommon.TransactionOutput) bool { return o.Address().Type() == lcommon.AddressTypeByron })
}

// checkView: nothing in a body reads differently here and there.
func checkView(t *testing.T, theirs lcommon.Transaction, b *chain.TxBody) {
	t.Helper()
	refs := func(in []lcommon.TransactionInput) (out []chain.OutRef) {
		for _, i := range in {
			out = append(out, chain.OutRef{Tx: chain.TxID(i.Id()), Index: i.Index()})
		}
		slices.SortFunc(out, chain.OutRef.Compare)
		return out
	}
	if !slices.Equal(b.Inputs, refs(theirs.Inputs())) || !slices.Equal(b.References, refs(theirs.ReferenceInputs())) || !slices.Equal(b.Collateral, refs(theirs.Collateral())) {
		t.Errorf("%s: inputs %v, references %v, collateral %v", b.ID, b.Inputs, b.References, b.Collateral)
	}
	if b.Fee != chain.Lovelace(theirs.Fee().Uint64()) || b.From != chain.Slot(theirs.ValidityIntervalStart()) || b.Until != chain.Slot(theirs.TTL()) {
		t.Errorf("%s: fee %d, valid from %d until %d", b.ID, b.Fee, b.From, b.Until)
	}
	if len(b.Signers) != len(theirs.RequiredSigners()) || b.HasCertificates != (len(theirs.Certificates()) > 0) || b.HasWithdrawals != (len(theirs.Withdrawals()) > 0) {
		t.Errorf("%s: %+v", b.ID, b)
	}
	if m := theirs.AssetMint(); (m == nil) != (len(b.Mint) == 0) {
		t.Errorf("%s: mint %v", b.ID, b.Mint)
	} else if m != nil {
		checkAssets(t, b.ID, m, b.Mint)
	}
	if len(b.Outputs) != len(theirs.Outputs()) {
		t.Fatalf("%s: %d outputs", b.ID, len(b.Outputs))
	}
	for i, o := range theirs.Outputs() {
		u := b.Outputs[i]
		if u.Address.String() != o.Address().String() || u.Value.Coin != chain.Lovelace(o.Amount().Uint64()) {
			t.Errorf("%s: %s has %d, the library says %s has %s", u.Ref, u.Address, u.Value.Coin, o.Address(), o.Amount())
		}
		if m := o.Assets(); m != nil {
			checkAssets(t, b.ID, m, u.Value.Assets)
		} else if len(u.Value.Assets) > 0 {
			t.Errorf("%s: %v", u.Ref, u.Value)
		}
		if d := o.Datum(); (d == nil) != (u.Datum == nil) || d != nil && !bytes.Equal(d.Cbor(), u.Datum) {
			t.Errorf("%s: datum %x", u.Ref, u.Datum)
		}
	}
}

func checkAssets[Q int64 | uint64](t *testing.T, id chain.TxID, theirs *lcommon.MultiAsset[*big.Int], ours map[chain.AssetID]Q) {
	t.Helper()
	n := 0
	for _, p := range theirs.Policies() {
		for _, name := range theirs.Assets(p) {
			q := ours[chain.AssetID{Policy: chain.ScriptHash(p), Name: string(name)}]
			if want := theirs.Asset(p, name); want.String() != fmt.Sprint(q) {
				t.Errorf("%s: %d of %s.%x, the library says %s", id, q, p, name, want)
			}
			n++
		}
	}
	if n != len(ours) {
		t.Errorf("%s: %d assets, the library has %d", id, len(ours), n)
	}
}

// checkSigned: a signature is added to what a stranger encoded, and nothing else changes.
func checkSigned(t *testing.T, raw chain.RawTx) {
	t.Helper()
	tx, err := chain.DecodeAnyTx(raw.Bytes())
	if !raw.Valid || raw.Bytes()[0] == 0x83 {
		if !errors.Is(err, chain.ErrMalformed) || !strings.Contains(err.Error(), "isValid is not true") {
			t.Errorf("%s: %v", raw.ID(), err)
		}
		return
	}
	if err != nil || !bytes.Equal(tx.Bytes(), raw.Bytes()) {
		t.Fatalf("%s: read and written it is another: %v", raw.ID(), err)
	}
	before := len(tx.Witnesses())
	if err := chaintest.NewActor("one more").Sign(tx); err != nil {
		t.Fatal(err)
	}
	again, err := chain.DecodeRawTx(tx.Bytes())
	if err != nil || !bytes.Equal(again.Body, raw.Body) || !bytes.Equal(again.Aux, raw.Aux) || len(again.Witnesses) < len(raw.Witnesses)+98 {
		t.Errorf("%s: signed it becomes %x: %v", raw.ID(), tx.Bytes(), err)
	}
	signed, err := ledger.NewTransactionFromCbor(ledger.TxTypeConway, tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[chain.KeyHash]bool{}
	for _, v := range signed.Witnesses().Vkey() {
		keys[chain.HashKey(v.Vkey)] = true
	}
	if len(keys) != before+1 || chain.TxID(signed.Hash()) != raw.ID() {
		t.Errorf("%s: signed it has %d keys", raw.ID(), len(keys))
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
