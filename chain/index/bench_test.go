//go:build bench

package index_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/testnet/measure"
)

const (
	benchBlocks   = 5000 // TALLY_BENCH_BLOCKS says otherwise
	benchPerBlock = 20   // transactions
	benchRounds   = 3
)

// TestBench measures what the chain's packages cost, prints a table and writes TALLY_BENCH_OUT.
func TestBench(t *testing.T) {
	out := os.Getenv("TALLY_BENCH_OUT")
	if out == "" {
		t.Fatal("TALLY_BENCH_OUT says where to write the results: make bench-chain")
	}
	blocks := benchBlocks
	if v := os.Getenv("TALLY_BENCH_BLOCKS"); v != "" {
		var err error
		if blocks, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	var ms []measure.Measure
	ms = append(ms, benchIndex(t, blocks)...)
	ms = append(ms, benchBuilding(t)...)
	ms = append(ms, measure.Measure{Name: "machine/cores", Value: float64(runtime.NumCPU()), Unit: "cores"})
	if err := measure.Write(out, ms); err != nil {
		t.Fatal(err)
	}
	if err := measure.Table(os.Stdout, ms); err != nil {
		t.Fatal(err)
	}
}

// discard follows a chain and does nothing with it, until it is so long.
type discard struct {
	left int
	done context.CancelFunc
}

func (d *discard) Forward(context.Context, chain.Block, chain.Point) error {
	if d.left--; d.left == 0 {
		d.done()
	}
	return nil
}

func (d *discard) Backward(context.Context, chain.Point) error { return nil }

// benchIndex times an index of the same blocks, served by the same scripted node, against following them and doing
// nothing, in turns.
func benchIndex(t *testing.T, length int) (ms []measure.Measure) {
	tr := newTraffic(t, length)
	n := float64(len(tr.blocks))
	w := serveChain(t, tr.blocks, len(tr.blocks))
	src := w.dial(t)
	read := func() float64 {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		src.Follow(ctx, nil, &discard{len(tr.blocks), cancel})
		return n / time.Since(start).Seconds()
	}
	indexed := func(dsn string, watch []index.Credential) (*following, float64) {
		start := time.Now()
		ix := runOn(t, dsn, index.Config{Network: network, Base: tr.base, Watch: watch}, src)
		w.lead(t, ix, len(tr.blocks))
		speed := n / time.Since(start).Seconds()
		ix.stop()
		return ix, speed
	}
	kinds := []struct {
		name  string
		watch []index.Credential
	}{{"all_watched", tr.all}, {"tenth_watched", tr.some}}
	reads, speeds := []float64{}, map[string][]float64{}
	for range benchRounds {
		reads = append(reads, read())
		for _, db := range index.Databases {
			for _, k := range kinds {
				ix, speed := indexed(db.New(t), k.watch)
				ix.Close()
				speeds[db.Name+"/"+k.name] = append(speeds[db.Name+"/"+k.name], speed)
			}
		}
	}
	ms = append(ms,
		measure.Measure{Name: "chain/blocks", Value: n, Unit: "blocks"},
		measure.Measure{Name: "chain/transactions_per_block", Value: benchPerBlock, Unit: "transactions"},
		measure.Measure{Name: "chain/read", Value: median(reads), Unit: "blocks/s"},
	)
	for _, db := range index.Databases {
		for _, k := range kinds {
			name := db.Name + "/" + k.name
			ms = append(ms, measure.Measure{Name: "chain/index/" + name, Value: median(speeds[name]), Unit: "blocks/s"}.
				AgainstRate(median(reads), "the same blocks by chain-sync from the same server, decoded, not indexed; the same run"))
		}
	}
	ix, _ := indexed(filepath.Join(t.TempDir(), "index.db"), tr.all)
	return append(ms, benchMemory(t, ix, tr)...)
}

// benchMemory is what an index of all those outputs takes of memory, open and while all are read.
func benchMemory(t *testing.T, ix *following, tr traffic) []measure.Measure {
	count := 0
	before := heap()
	start := time.Now()
	for _, c := range tr.all {
		us, err := ix.UTxOsOf(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		count += len(us)
		defer runtime.KeepAlive(us)
	}
	took := time.Since(start)
	all := heap() - before
	return []measure.Measure{
		{Name: "chain/index/watched_utxos", Value: float64(count), Unit: "outputs"},
		{Name: "chain/index/reading_them_all", Value: took.Seconds(), Unit: "s"},
		{Name: "chain/index/reading_them_all/memory", Value: float64(all) / (1 << 20), Unit: "MiB"},
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// median is the middle of an odd number of values.
func median(xs []float64) float64 {
	s := slices.SortedFunc(slices.Values(xs), cmp.Compare)
	return s[len(s)/2]
}
