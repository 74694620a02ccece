//go:build bench && linux

package collective

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycompute/tally/market/p2p"
	"github.com/tallycompute/tally/testnet/measure"
)

// A size is one that is summed, and how often in a round.
type size struct {
	name              string
	bytes, iterations int
	plain             bool // without encryption, too
}

var benched = []size{
	{"1KB", 1 << 10, 400, false},
	{"64KB", 64 << 10, 100, false},
	{"1MB", 1 << 20, 30, false},
	{"16MB", 16 << 20, 5, false},
	{"64MB", 64 << 20, 2, true},
	{"256MB", 256 << 20, 1, false},
}

// wires are what it travels as: BENCH_WIRE, such as f32,plain, if that is set.
func (s size) wires() []string {
	if some := os.Getenv("BENCH_WIRE"); some != "" {
		return strings.Split(some, ",")
	}
	wires := []string{"f32", "bf16", "int8"}
	if s.plain {
		wires = append(wires, inPlain)
	}
	return wires
}

// wanted says whether a row is one of BENCH_ONLY, a pattern such as 64MB/n=4, 1KB/* or wan/*, or that is not set.
func wanted(row string) bool {
	only := os.Getenv("BENCH_ONLY")
	match, err := filepath.Match(only, row)
	return match || err != nil || only == ""
}

const (
	benchRounds = 3
	// hopeless is how many times slower than the best an algorithm of Gloo is in the first round to be left out of the others.
	hopeless = 1.5
)

var (
	glooAlgorithms = []string{"ring", "hd", "bcube", "rc"}
	// inBuckets is f32 in several operations under way at once, as a backward pass gives them.
	inBuckets = "f32-buckets"
	// oneWay is what rank 1 sends rank 0.
	oneWay     = "send"
	benchWires = map[string]Wire{"f32": AsItIs, "bf16": AsBF16, "int8": AsInt8, "top1%": AsTopK}
)

// TestBenchCollectives times allreduce between processes on this machine, one a rank, in turns with Gloo's.
func TestBenchCollectives(t *testing.T) {
	var all []measure.Measure
	for _, n := range []int{2, 4, 8} {
		sizes := slices.DeleteFunc(slices.Clone(benched), func(b size) bool { return !wanted(fmt.Sprintf("%s/n=%d", b.name, n)) })
		if len(sizes) == 0 {
			continue
		}
		ours := ourCrew(t, n)
		for _, b := range sizes {
			wires := b.wires()
			times, cpus := map[string][]float64{}, map[string][]float64{}
			start := time.Now()
			algorithms := glooAlgorithms
			for range benchRounds {
				for _, algorithm := range algorithms {
					gloo := glooCrew(t, n)
					gloo.run(t, algorithm, b.bytes, b.iterations, times, cpus)
					gloo.dismiss(t)
				}
				for _, wire := range wires {
					ours.run(t, wire, b.bytes, b.iterations, times, cpus)
				}
				fastest := middle(times[bestOf(algorithms, times)])
				algorithms = slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return middle(times[a]) > hopeless*fastest })
			}
			fmt.Printf("bench-collectives: %s, n=%d took %.0f s\n", b.name, n, time.Since(start).Seconds())
			best := bestOf(glooAlgorithms, times)
			source := fmt.Sprintf("Gloo %s over plaintext TCP, the best of its algorithms, the same run", best)
			for _, wire := range wires {
				name := fmt.Sprintf("allreduce/%s/%s/n=%d", wire, b.name, n)
				all = append(all, measure.Measure{Name: name, Value: middle(times[wire]) / 1000, Unit: "ms"}.AgainstTime(middle(times[best])/1000, source))
				if b.bytes >= 1<<20 {
					all = append(all, measure.Measure{Name: name + "/cpu", Value: middle(cpus[wire]), Unit: "cpu-s/GB"}.AgainstTime(middle(cpus[best]), source))
				}
			}
		}
		ours.dismiss(t)
	}
	if wanted("memory") {
		all = append(all, benchMemory(t)...)
	}
	all = append(all, benchWANs(t)...)
	all = append(all, benchTopology(t)...)
	if err := measure.Table(os.Stdout, all); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("Medians of %d rounds in turns. Ours: encrypted, from agent to agent, without the container's side.\n", benchRounds)
	if err := measure.Write(os.Getenv("BENCH_OUT"), all); err != nil {
		t.Fatal(err)
	}
}

func bestOf(algorithms []string, times map[string][]float64) string {
	return slices.MinFunc(algorithms, func(a, b string) int { return cmp.Compare(middle(times[a]), middle(times[b])) })
}

func middle(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// crew are the processes of one group.
type crew struct {
	cmds []*exec.Cmd
	in   []io.WriteCloser
	out  []*bufio.Reader
}

func (c *crew) hire(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	c.cmds, c.in, c.out = append(c.cmds, cmd), append(c.in, in), append(c.out, bufio.NewReaderSize(out, 1<<16))
}

func glooCrew(t *testing.T, n int) *crew {
	t.Helper()
	c, store := &crew{}, t.TempDir()
	for r := range n {
		c.hire(t, exec.CommandContext(t.Context(), os.Getenv("GLOOBENCH"), strconv.Itoa(r), strconv.Itoa(n), store))
	}
	return c
}

// ourCrew has ranks that share the machine's cores out, as machines of their own would: a thread that wakes another of
// the same rank only takes the core that another rank is on.
func ourCrew(t *testing.T, n int) *crew {
	share := fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/n))
	return rankCrew(t, n, func(int) []string { return []string{"env", share} })
}

// rankCrew has each rank run by a command that comes before.
func rankCrew(t *testing.T, n int, by func(rank int) []string) *crew {
	t.Helper()
	c := &crew{}
	for r := range n {
		line := append(by(r), os.Args[0], "-test.run", "^TestBenchRank$", "-test.timeout", "30m")
		cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("BENCH_RANK=%d", r))
		c.hire(t, cmd)
	}
	var peers []string
	for _, out := range c.out {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, strings.TrimSpace(line))
	}
	c.say(t, "["+strings.Join(peers, ",")+"]")
	return c
}

func (c *crew) say(t *testing.T, line string) {
	t.Helper()
	for _, in := range c.in {
		if _, err := fmt.Fprintln(in, line); err != nil {
			t.Fatal(err)
		}
	}
}

// run has the crew sum so many bytes and adds the median of the microseconds, and the CPU seconds of all for each GB.
func (c *crew) run(t *testing.T, what string, bytes, iterations int, times, cpus map[string][]float64) {
	t.Helper()
	c.say(t, fmt.Sprintf("%s %d %d", what, bytes, iterations))
	cpu := 0.0
	for r, out := range c.out {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s, rank %d: %q, %v", what, r, line, err)
		}
		var numbers []float64
		for _, word := range strings.Fields(line) {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatalf("%s, rank %d says %q", what, r, line)
			}
			numbers = append(numbers, v)
		}
		cpu += numbers[0]
		if r == 0 {
			times[what] = append(times[what], middle(numbers[1:]))
		}
	}
	cpus[what] = append(cpus[what], cpu/(float64(bytes)*float64(iterations)/1e9))
}

func (c *crew) dismiss(t *testing.T) {
	t.Helper()
	for _, in := range c.in {
		_ = in.Close()
	}
	for r, cmd := range c.cmds {
		_, _ = io.Copy(io.Discard, c.out[r])
		if err := cmd.Wait(); err != nil {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// TestBenchRank is one process of TestBenchCollectives.
func TestBenchRank(t *testing.T) {
	rank, err := strconv.Atoi(os.Getenv("BENCH_RANK"))
	if err != nil {
		t.Fatalf("BENCH_RANK: %v: run TestBenchCollectives", err)
	}
	var cfg p2p.Config
	if at := os.Getenv("BENCH_LISTEN"); at != "" {
		cfg.Listen = []string{at}
		defer os.Exit(0) // what looks for a router outlives its host
	}
	h, err := p2p.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	s := NewService(h, quiet())
	defer func() { _ = s.Close() }()
	if os.Getenv("BENCH_STREAMS") == "" { // set: libp2p's streams only
		if err := s.ListenStraight(); err != nil {
			t.Fatal(err)
		}
	}
	me, err := json.Marshal(h.AddrInfo())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(me))
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	v := View{Epoch: 1, Rank: rank}
	if err := json.Unmarshal(line, &v.Peers); err != nil {
		t.Fatal(err)
	}
	g, err := s.Join(t.Context(), v, layings[os.Getenv("BENCH_LAYING")])
	if err != nil {
		t.Fatal(err)
	}
	if p := g.plan.Load(); rank == 0 && os.Getenv("BENCH_LAYING") != "" {
		fmt.Fprintf(os.Stderr, "bench-collectives: laid out as %v: %s\n", p, p.why)
	}
	if dir := os.Getenv("BENCH_PROFILE"); dir != "" && rank == 0 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("n%d.pprof", g.Size())))
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	var plain [orderedLanes][]stream
	for {
		var what string
		var bytes, iterations int
		if _, err := fmt.Fscanln(in, &what, &bytes, &iterations); err != nil {
			break
		}
		if what == inPlain {
			if plain[0] == nil {
				plain = bareLanes(t, g)
			}
			plain = swap(g, plain)
		}
		debug.FreeOSMemory() // of the run before: the ranks share this machine
		buf := make([]float32, bytes/4)
		for i := range buf {
			buf[i] = float32((rank + 1) * (i%7 + 1))
		}
		start := func(o Operation) *Handle {
			h, err := g.Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		run := func() {
			var under []*Handle
			switch {
			case what == oneWay && rank == 0:
				under = append(under, start(Operation{Kind: Receive, Root: 1, Dst: bytesOf(buf)}))
			case what == oneWay:
				under = append(under, start(Operation{Kind: Send, Root: 0, Src: bytesOf(buf)}))
			default:
				parts := 1
				if what == inBuckets {
					parts = 8
				}
				for part := range slices.Chunk(buf, len(buf)/parts) {
					o := sum(part, part, Sum)
					if o.Wire = benchWires[what]; o.Wire == AsTopK {
						o.Share = onePercent
					}
					under = append(under, start(o))
				}
			}
			for _, h := range under {
				if err := h.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		whole := what != oneWay && benchWires[what] != AsTopK
		for i, got := range buf {
			want := float32(g.Size() * (g.Size() + 1) / 2 * (i%7 + 1))
			if whole && (got < want*0.9 || got > want*1.1) {
				t.Fatalf("%s: value %d is %v, want %v", what, i, got, want)
			}
		}
		clear(buf)
		if err := g.barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := cpuSeconds()
		var times strings.Builder
		for range iterations {
			start := time.Now()
			run()
			fmt.Fprintf(&times, " %.2f", float64(time.Since(start).Nanoseconds())/1000)
		}
		fmt.Printf("%.6f%s\n", cpuSeconds()-before, times.String())
		if what == inPlain {
			plain = swap(g, plain)
		}
	}
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
