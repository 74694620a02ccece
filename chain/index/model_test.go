package index

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

var (
	network = chain.Network{Magic: 42}
	alice   = Key(chain.KeyHash{'a'})
	lot     = Script(chain.ScriptHash{'s'})
	policy  = chain.ScriptHash{'p'}
	nobody  = chain.KeyHash{'n'}
)

func addressOf(c Credential) chain.Address {
	if c.Script {
		return chain.ScriptAddress(network, c.Hash)
	}
	return chain.Enterprise(network, c.Hash)
}

func testConfig() Config {
	return Config{Network: network, K: 1000, Watch: []Credential{alice, lot, Script(policy)}}
}

// observe is a handler like the market's: it logs what happens to the outputs of a script.
var observe = HandlerFunc(func(b Block) (es []Event, err error) {
	for _, t := range b.Txs {
		for _, in := range t.Inputs {
			if u, ok := b.Spent[in]; ok && PaymentOf(u.Address) == lot {
				es = append(es, Event{Key: in.String(), Kind: "spent", Payload: t.ID[:]})
			}
		}
		for _, u := range t.Outputs {
			if PaymentOf(u.Address) == lot {
				es = append(es, Event{Key: u.Ref.String(), Kind: "made", Payload: u.Datum})
			}
		}
	}
	return es, nil
})

// hashOf makes a hash that tells blocks and transactions of different histories apart.
func hashOf(parts ...any) [32]byte { return blake2b.Sum256(fmt.Append(nil, parts...)) }

// blockAfter is a block of transactions on prev; branch tells apart siblings.
func blockAfter(prev chain.Block, branch int, txs ...chain.BlockTx) chain.Block {
	b := chain.Block{Height: prev.Height + 1, Txs: txs}
	b.Slot = prev.Slot + 1 + chain.Slot(branch%3)
	b.Hash = hashOf("block", prev.Hash, branch, b.Slot, len(txs))
	for _, t := range txs {
		b.Hash = hashOf(b.Hash, t.ID)
	}
	return b
}

// txOf is a transaction; salt makes its id.
func txOf(salt int, inputs []chain.OutRef, outputs ...chain.Output) chain.BlockTx {
	t := chain.BlockTx{ID: hashOf("tx", salt, inputs), Inputs: inputs, Fee: 200_000}
	for i, o := range outputs {
		t.Outputs = append(t.Outputs, chain.UTxO{Ref: chain.OutRef{Tx: t.ID, Index: uint32(i)}, Output: o})
	}
	return t
}

func out(c Credential, coin chain.Lovelace) chain.Output {
	return chain.Output{Address: addressOf(c), Value: chain.Coins(coin)}
}

func lotOut(coin chain.Lovelace, datum byte) chain.Output {
	o := out(lot, coin)
	o.Value = o.Value.With(chain.AssetID{Policy: policy, Name: "\x00\xff"}, 1<<63+uint64(datum))
	o.Datum = []byte{0xd8, 0x79, 0x81, datum}
	return o
}

func openTest(t testing.TB, dsn string, cfg Config) *Index {
	t.Helper()
	ix := openWith(t, dsn, cfg)
	ix.Register("observe/1", observe)
	t.Cleanup(func() { ix.Close() })
	return ix
}

// openWith opens a database without waiting for the disk: no test pulls the power cord.
func openWith(t testing.TB, dsn string, cfg Config) *Index {
	t.Helper()
	if strings.HasPrefix(dsn, "postgres") {
		ix, err := Open(t.Context(), dsn, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return ix
	}
	db, err := sql.Open("sqlite", strings.Replace(sqliteSource(dsn), "NORMAL", "OFF", 1))
	if err != nil {
		t.Fatal(err)
	}
	ix, err := open(t.Context(), db, sqliteDialect, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// feed gives blocks as a source would.
func feed(t testing.TB, ix *Index, blocks ...chain.Block) {
	t.Helper()
	for _, b := range blocks {
		if err := ix.apply(context.Background(), []chain.Block{b}, b.Point); err != nil {
			t.Fatal(err)
		}
	}
}

// fresh is what an index says that has only ever seen these blocks, one after the other.
func fresh(t testing.TB, cfg Config, blocks []chain.Block) string {
	t.Helper()
	ix := openTest(t, Databases[0].New(t), cfg)
	feed(t, ix, blocks...)
	return dump(t, ix)
}

// dump is all that an index holds but the numbers of events, which differ after a rollback, as text.
func dump(t testing.TB, ix *Index) string {
	t.Helper()
	var s strings.Builder
	for _, q := range []string{
		"SELECT seq, slot, hash, height FROM blocks ORDER BY seq",
		"SELECT tx, ix, made, spent, spender, address, credential, value, datum, script FROM utxos ORDER BY tx, ix",
		"SELECT tx, seq, slot, hash, height FROM txs ORDER BY tx",
		"SELECT seq, slot, hash, height, handler, subject, kind, payload FROM events ORDER BY id",
	} {
		rows, err := ix.db.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			vs := make([]any, len(columns))
			for i := range vs {
				vs[i] = new(any)
			}
			if err := rows.Scan(vs...); err != nil {
				t.Fatal(err)
			}
			for i, v := range vs {
				v := *v.(*any)
				if b, ok := v.([]byte); ok {
					v = fmt.Sprintf("%x", b)
				}
				fmt.Fprintf(&s, "%s=%v ", columns[i], v)
			}
			s.WriteByte('\n')
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	return s.String()
}
