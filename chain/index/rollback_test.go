package index

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycompute/tally/chain"
)

// story is a lot's life on a chain: coins for alice, a lot opened, moved on, paid back.
func story(branch int) []chain.Block {
	var blocks []chain.Block
	prev := chain.Block{}
	add := func(txs ...chain.BlockTx) {
		prev = blockAfter(prev, branch, txs...)
		blocks = append(blocks, prev)
	}
	fund := txOf(1, []chain.OutRef{{Index: 9}}, out(alice, 10_000_000), out(Key(nobody), 5), out(alice, 3_000_000))
	open := txOf(2, []chain.OutRef{fund.Outputs[0].Ref}, lotOut(8_000_000, 1), out(alice, 1_800_000))
	commit := txOf(3, []chain.OutRef{open.Outputs[0].Ref}, lotOut(8_000_000, 2))
	pay := txOf(4+branch, []chain.OutRef{commit.Outputs[0].Ref, fund.Outputs[2].Ref}, out(alice, 10_800_000))
	elsewhere := txOf(5, []chain.OutRef{{Index: 77}}, out(Key(nobody), 1))
	add(fund)
	add()
	add(open, commit) // made and spent in one block
	add(elsewhere)
	add(pay)
	add()
	return blocks
}

func TestRollbackAtEveryBlock(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		ctx := context.Background()
		main, other := story(0), story(1)
		for at := range len(main) + 1 {
			ix := openTest(t, db.New(t), testConfig())
			feed(t, ix, main...)
			var p chain.Point // the origin
			if at > 0 {
				p = main[at-1].Point
			}
			if err := ix.undo(ctx, p); err != nil {
				t.Fatal(err)
			}
			if got, want := dump(t, ix), fresh(t, testConfig(), main[:at]); got != want {
				t.Errorf("rolled back to block %d:\n%s\na fresh index:\n%s", at, got, want)
			}
			if got := ix.Tip().Point; got != p {
				t.Errorf("rolled back to block %d, the tip is %v", at, got)
			}
			rest := main[at:]
			if at == 0 {
				rest = other
			}
			feed(t, ix, rest...)
			final := append(append([]chain.Block{}, main[:at]...), rest...)
			if got, want := dump(t, ix), fresh(t, testConfig(), final); got != want {
				t.Errorf("on from block %d:\n%s\na fresh index:\n%s", at, got, want)
			}
		}
	})
}

// model is a chain that grows and shrinks at random, with what is unspent after each block.
type model struct {
	blocks  []chain.Block
	unspent [][]chain.OutRef // after each block; everybody's
	salt    int
}

func (m *model) tip() (b chain.Block, unspent []chain.OutRef) {
	if n := len(m.blocks); n > 0 {
		return m.blocks[n-1], m.unspent[n-1]
	}
	return chain.Block{}, nil
}

func (m *model) grow(t *rapid.T) chain.Block {
	prev, unspent := m.tip()
	unspent = append([]chain.OutRef{}, unspent...)
	var txs []chain.BlockTx
	for range rapid.IntRange(0, 4).Draw(t, "txs") {
		var in []chain.OutRef
		for range rapid.IntRange(0, min(3, len(unspent))).Draw(t, "inputs") {
			i := rapid.IntRange(0, len(unspent)-1).Draw(t, "input")
			in = append(in, unspent[i])
			unspent = append(unspent[:i:i], unspent[i+1:]...)
		}
		var outs []chain.Output
		for i := range rapid.IntRange(0, 3).Draw(t, "outputs") {
			outs = append(outs, rapid.SampledFrom([]chain.Output{out(alice, 7), lotOut(8, byte(i)), out(Key(nobody), 9)}).Draw(t, "output"))
		}
		m.salt++
		tx := txOf(m.salt, in, outs...)
		if rapid.Bool().Draw(t, "mint") {
			tx.Mint = map[chain.AssetID]int64{{Policy: policy, Name: "x"}: -1}
		}
		for _, u := range tx.Outputs {
			unspent = append(unspent, u.Ref)
		}
		txs = append(txs, tx)
	}
	m.salt++
	b := blockAfter(prev, m.salt, txs...)
	m.blocks, m.unspent = append(m.blocks, b), append(m.unspent, unspent)
	return b
}

func (m *model) shrink(n int) (p chain.Point) {
	keep := len(m.blocks) - n
	m.blocks, m.unspent = m.blocks[:keep:keep], m.unspent[:keep:keep]
	b, _ := m.tip()
	return b.Point
}

// startOver is an index that has seen nothing, in a database that may have been used.
func startOver(t *testing.T, dsn string, cfg Config) *Index {
	t.Helper()
	ix := openTest(t, dsn, cfg)
	if err := ix.reset(t.Context(), "a test"); err != nil {
		t.Fatal(err)
	}
	return ix
}

// Whatever blocks came and went, the index is what the blocks that stayed make of a fresh one.
func TestAnyHistory(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		ctx, path, trials := context.Background(), db.New(t), 0
		rapid.Check(t, func(rt *rapid.T) {
			if trials++; trials%db.Every != 0 {
				return
			}
			var m model
			ix := startOver(t, path, testConfig())
			for range rapid.IntRange(1, 12).Draw(rt, "moves") {
				switch rapid.IntRange(0, 5).Draw(rt, "move") {
				case 0:
					p := m.shrink(rapid.IntRange(0, len(m.blocks)).Draw(rt, "back"))
					if err := ix.undo(ctx, p); err != nil {
						rt.Fatal(err)
					}
				case 1:
					ix.Close()
					ix = openTest(t, path, testConfig())
				default:
					var batch []chain.Block
					for range rapid.IntRange(1, 3).Draw(rt, "blocks") {
						batch = append(batch, m.grow(rt))
					}
					if err := ix.apply(ctx, batch, m.blocks[len(m.blocks)-1].Point); err != nil {
						rt.Fatal(err)
					}
				}
			}
			if got, want := dump(t, ix), fresh(t, testConfig(), m.blocks); got != want {
				rt.Fatalf("%s\na fresh index:\n%s", got, want)
			}
			ix.Close()
		})
	})
}

// With little kept, a rollback within what is kept still ends at the same unspent outputs, transactions and events.
func TestPrune(t *testing.T) {
	onEach(t, func(t *testing.T, db Database) {
		ctx, path, trials := context.Background(), db.New(t), 0
		cfg := testConfig()
		cfg.K = 3
		rapid.Check(t, func(rt *rapid.T) {
			if trials++; trials%db.Every != 0 {
				return
			}
			var m model
			ix := startOver(t, path, cfg)
			defer ix.Close()
			highest := 0
			for range rapid.IntRange(5, 15).Draw(rt, "moves") {
				if rapid.IntRange(0, 3).Draw(rt, "back?") == 0 {
					n := rapid.IntRange(0, min(cfg.K, len(m.blocks))).Draw(rt, "back")
					deep := n > 0 && len(m.blocks)-n < highest-cfg.K
					err := ix.undo(ctx, m.shrink(n))
					switch {
					case deep:
						if (len(m.blocks) > 0) != errors.Is(err, errStartOver) || ix.Tip().seq != 0 {
							rt.Fatalf("a rollback beneath what is kept: %v", err)
						}
						feed(t, ix, m.blocks...)
						highest = len(m.blocks)
					case err != nil:
						rt.Fatal(err)
					}
					continue
				}
				feed(t, ix, m.grow(rt))
				highest = max(highest, len(m.blocks))
			}
			kept := 0
			if err := ix.db.QueryRow("SELECT count(*) FROM blocks").Scan(&kept); err != nil || kept > cfg.K+2 {
				rt.Fatalf("%d blocks kept, %v", kept, err)
			}
			unpruned := openTest(t, Databases[0].New(t), testConfig())
			defer unpruned.Close()
			feed(t, unpruned, m.blocks...)
			for _, c := range []Credential{alice, lot} {
				got, err := ix.UTxOsOf(ctx, c)
				want, err2 := unpruned.UTxOsOf(ctx, c)
				if err != nil || err2 != nil || len(got) != len(want) {
					rt.Fatalf("%s: %d unspent, a fresh index has %d: %v, %v", c, len(got), len(want), err, err2)
				}
				for i := range got {
					if got[i].Ref != want[i].Ref || !got[i].Value.Equal(want[i].Value) {
						rt.Fatalf("%s: %v, a fresh index has %v", c, got[i], want[i])
					}
				}
			}
			a, err := ix.EventsSince(ctx, 0, 1000)
			b, err2 := unpruned.EventsSince(ctx, 0, 1000)
			if err != nil || err2 != nil || len(a) != len(b) {
				rt.Fatalf("%d events, a fresh index has %d: %v, %v", len(a), len(b), err, err2)
			}
		})
	})
}
