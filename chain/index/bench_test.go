//go:build bench

package index_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/testnet/measure"
)

const (
	benchBlocks   = 5000 // CHAIN_BLOCKS says otherwise
	benchPerBlock = 20   // payments on average
	benchRounds   = 3
)

// TestBench measures what the chain's packages cost, prints a table and writes CHAIN_OUT.
func TestBench(t *testing.T) {
	if path := os.Getenv(benchChild); path != "" {
		benchMemoryChild(t, path)
		return
	}
	out := os.Getenv("CHAIN_OUT")
	if out == "" {
		t.Fatal("CHAIN_OUT says where to write the results: make bench-chain")
	}
	blocks := benchBlocks
	if v := os.Getenv("CHAIN_BLOCKS"); v != "" {
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

// benchIndex times an index of a devnet's chain against following it and doing nothing, in turns: as the devnet serves it,
// and as a scripted node does that has the same blocks in memory.
func benchIndex(t *testing.T, length int) (ms []measure.Measure) {
	tr := forgeTraffic(t, length)
	n := len(tr.blocks)
	perBlock := float64(tr.payments) / float64(n)
	if n < length || perBlock < benchPerBlock {
		t.Fatalf("%d blocks with %.1f payments each: too few", n, perBlock)
	}
	all, base := trafficConfig()
	w := serveChain(t, tr.blocks, n)
	tip := w.tip()
	dial := func(socket string) *node.Node {
		src, err := node.Dial(t.Context(), node.Config{Socket: socket, Network: network})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { src.Close() })
		return src
	}
	read := func(src *node.Node) float64 {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		src.Follow(ctx, nil, &discard{n, cancel})
		return float64(n) / time.Since(start).Seconds()
	}
	indexed := func(src *node.Node, dsn string, watch []index.Credential) (*following, float64) {
		start := time.Now()
		ix := runOn(t, dsn, index.Config{Network: network, Base: base, Watch: watch}, src)
		reach(t, ix, tip)
		speed := float64(n) / time.Since(start).Seconds()
		ix.stop()
		return ix, speed
	}
	ms = append(ms,
		measure.Measure{Name: "chain/blocks", Value: float64(n), Unit: "blocks"},
		measure.Measure{Name: "chain/transactions_per_block", Value: perBlock, Unit: "transactions"},
	)
	kinds := []struct {
		name  string
		watch []index.Credential
	}{{"all_watched", all}, {"tenth_watched", all[2:]}}
	for _, server := range []struct {
		name   string
		src    *node.Node
		anchor string
	}{
		{"chain/devnet", dial(tr.node.Socket), "the same blocks by chain-sync from the same devnet, decoded, not indexed; the same run"},
		{"chain", dial(w.socket), "the same blocks by chain-sync from the same server in memory, decoded, not indexed; the same run"},
	} {
		reads, speeds := []float64{}, map[string][]float64{}
		for round := range benchRounds {
			tr.hold(t)
			reads = append(reads, read(server.src))
			for _, db := range index.Databases {
				for _, k := range kinds {
					ix, speed := indexed(server.src, db.New(t), k.watch)
					ix.Close()
					speeds[db.Name+"/"+k.name] = append(speeds[db.Name+"/"+k.name], speed)
				}
			}
			t.Logf("%s: round %d of %d", server.name, round+1, benchRounds)
		}
		ms = append(ms, measure.Measure{Name: server.name + "/read", Value: median(reads), Unit: "blocks/s"})
		for _, db := range index.Databases {
			for _, k := range kinds {
				name := db.Name + "/" + k.name
				ms = append(ms, measure.Measure{Name: server.name + "/index/" + name, Value: median(speeds[name]), Unit: "blocks/s"}.
					AgainstRate(median(reads), server.anchor))
			}
		}
	}
	path := filepath.Join(t.TempDir(), "index.db")
	ix, _ := indexed(dial(w.socket), path, all)
	ix.Close()
	return append(ms, benchMemory(t, path, tr.payments)...)
}

// benchMemory is what a process of its own takes of memory that has that index open, and that has all outputs read.
func benchMemory(t *testing.T, path string, payments int) (ms []measure.Measure) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), benchChild+"="+path)
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		t.Fatal(err, string(out))
	}
	var m struct {
		UTxOs                 int
		Before, Open, Reading uint64
		Seconds               float64
	}
	if err := json.Unmarshal(out[:bytes.IndexByte(out, '\n')], &m); err != nil || m.UTxOs <= payments {
		t.Fatalf("%s: %v", out, err)
	}
	mib := func(n uint64) float64 { return float64(n) / (1 << 20) }
	return []measure.Measure{
		{Name: "chain/index/watched_utxos", Value: float64(m.UTxOs), Unit: "outputs"},
		{Name: "chain/index/watched_utxos/memory_open", Value: mib(m.Open - m.Before), Unit: "MiB"},
		{Name: "chain/index/watched_utxos/memory_reading_all", Value: mib(m.Reading - m.Before), Unit: "MiB"},
		{Name: "chain/index/watched_utxos/reading_all", Value: m.Seconds, Unit: "s"},
	}
}

const benchChild = "CHAIN_INDEX"

// benchMemoryChild prints what benchMemory reads.
func benchMemoryChild(t *testing.T, path string) {
	all, base := trafficConfig()
	before := resident(t)
	ix, err := index.Open(t.Context(), path, index.Config{Network: network, Base: base, Watch: all})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	var read []chain.UTxO
	open, start := resident(t), time.Now()
	for _, c := range all {
		us, err := ix.UTxOsOf(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, us...)
	}
	took := time.Since(start)
	fmt.Printf(`{"UTxOs": %d, "Before": %d, "Open": %d, "Reading": %d, "Seconds": %f}`+"\n", len(read), before, open, resident(t), took.Seconds())
	runtime.KeepAlive(read)
}

// resident is the process's resident memory in bytes (proc(5), statm).
func resident(t *testing.T) uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * uint64(os.Getpagesize())
}

// median is the middle of an odd number of values.
func median(xs []float64) float64 {
	s := slices.SortedFunc(slices.Values(xs), cmp.Compare)
	return s[len(s)/2]
}
