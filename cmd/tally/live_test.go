package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/testnet"
	"github.com/tallycompute/tally/testnet/images"
)

// street is a market with a real node and two providers, and what a requester sees of it.
type street struct {
	*testnet.World
	dir, bin string
}

// answer is how a command ended.
type answer struct {
	code     int
	out, err string
}

// run runs a command in a home with an environment of its own; stdin is what the person types.
func (s *street) run(t *testing.T, home, stdin string, env []string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.bin, append(args, "--home", home)...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(stdin)
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, env...)
	if host, ok := os.LookupEnv("DOCKER_HOST"); ok && len(env) == 0 {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+host)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("tally %v: %v", args, err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// wants checks an answer: its exit code, and texts that must be in what it wrote.
func (a answer) wants(t *testing.T, code int, texts ...string) {
	t.Helper()
	if a.code != code {
		t.Errorf("exit code %d, not %d", a.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(a.out+a.err, text) {
			t.Errorf("no word of %q", text)
		}
	}
	if code != 0 && !strings.Contains(a.err, "  → ") && !strings.Contains(a.err, `"hint":"`) {
		t.Error("no next step")
	}
	if strings.Contains(a.err, "goroutine ") {
		t.Error("a stack trace")
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", a.out, a.err)
	}
}

// job writes a job file and returns its path. Keys given replace those of a small job of one shard.
func (s *street) job(t *testing.T, change map[string]string) string {
	t.Helper()
	lines := [][2]string{
		{"version", "1"},
		{"name", "small"},
		{"kind", "general"},
		{"image", images.Python},
		{"run", "echo counted; echo 1 > $OUTPUT_DIR/n"},
		{"inputs", "[]"},
		{"shards", "{count: 1}"},
		{"resources", "{cpus: 1, memory_gib: 0.25}"},
		{"budget", "{max_ntx: 10}"},
		{"verify", "{policy: accept, window: 5s}"},
		{"timeouts", "{match: 10s, start: 20s, run: 30s, collect: 10s}"},
		{"outputs", "[{path: /out, gather: files}]"},
	}
	var text strings.Builder
	for _, l := range lines {
		if v, ok := change[l[0]]; ok {
			l[1] = v
		}
		fmt.Fprintf(&text, "%s: %s\n", l[0], l[1])
	}
	path := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newStreet starts node and bootstrap peer and gives everybody money. No provider runs yet.
func newStreet(t *testing.T, pace testnet.Pace, changes ...func(*testnet.WorldConfig)) *street {
	bin, err := exec.LookPath("tally") // this test binary: see TestMain
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tally-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	node := ""
	if dir := os.Getenv("TALLY_BIN"); dir != "" {
		node = filepath.Join(dir, "tally-devnet")
	}
	cfg := testnet.WorldConfig{
		Dir: filepath.Join(dir, "w"), Bin: bin, NodeBin: node, SlotLength: time.Second / 5, Rates: []string{"0.001", "0.002"}, Pace: pace,
	}
	for _, change := range changes {
		change(&cfg)
	}
	w, err := testnet.NewWorld(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if _, err := images.Ensure(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(context.Context) error{
		w.StartNode, w.StartBootstrap, func(ctx context.Context) error { return w.Init(ctx, []string{images.Python}) }, w.Fund,
	} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range w.Participants() {
		if err := p.KeepPassphrase(); err != nil {
			t.Fatal(err)
		}
	}
	return &street{World: w, dir: dir, bin: bin}
}

// pace is the devnet's, for jobs that are small.
func pace() testnet.Pace {
	p := testnet.DevnetPace()
	p.LockMS, p.MarginMS = 10_000, 3000
	return p
}

// unmoved runs f, after which every wallet must hold what it held before.
func (s *street) unmoved(t *testing.T, f func()) {
	t.Helper()
	before := s.holds(t)
	f()
	s.same(t, before)
}

// holds is what is at every wallet's address, as the node has it.
func (s *street) holds(t *testing.T) (all []chain.Value) {
	t.Helper()
	for _, p := range s.Participants() {
		us, err := s.Node.UTxOs(t.Context(), p.Address)
		if err != nil {
			t.Fatal(err)
		}
		var sum chain.Value
		for _, u := range us {
			if sum, err = sum.Add(u.Value); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, sum)
	}
	return all
}

func (s *street) same(t *testing.T, before []chain.Value) {
	t.Helper()
	for i, after := range s.holds(t) {
		if !after.Equal(before[i]) {
			t.Errorf("%s held %+v and holds %+v", s.Participants()[i].Name, before[i], after)
		}
	}
}

// visitor makes another participant, with these coins.
func (s *street) visitor(t *testing.T, name string, coins ...chain.Value) string {
	t.Helper()
	home := filepath.Join(s.dir, name)
	made := s.run(t, home, "", []string{"TALLY_WALLET_PASSPHRASE=" + name}, "init", "--network", filepath.Join(s.dir, "w", "network.json"), "-o", "json")
	made.wants(t, 0)
	if err := os.WriteFile(filepath.Join(home, "passphrase"), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	var v struct{ Address chain.Address }
	if err := json.Unmarshal([]byte(made.out), &v); err != nil {
		t.Fatal(err)
	}
	if len(coins) > 0 {
		if err := s.Faucet.Fund(t.Context(), s.Node, s.Contracts, []testnet.Gift{{To: v.Address, Values: coins}}); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// The tests share a market; they go from an empty one to one where everything has gone well.
func TestLive(t *testing.T) {
	s := newStreet(t, pace())
	home := s.Requester.Home
	t.Run("no offers", func(t *testing.T) {
		s.unmoved(t, func() {
			s.run(t, home, "", nil, "plan", s.job(t, nil)).wants(t, exitNetwork, "no match")
			s.run(t, home, "", nil, "run", "-y", s.job(t, nil)).wants(t, exitNetwork, "no offers for this job", "nothing was locked")
			s.run(t, home, "", nil, "run", "-y", "-o", "json", s.job(t, nil)).wants(t, exitNetwork, `"code":4`)
		})
	})
	if err := s.StartProviders(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("small outputs", s.consolidates)
	t.Run("doctor", s.doctor)
	t.Run("nothing fits", func(t *testing.T) {
		big := s.job(t, map[string]string{"resources": "{cpus: 8, memory_gib: 0.25}"})
		s.unmoved(t, func() {
			a := s.run(t, home, "", nil, "plan", big)
			a.wants(t, exitNetwork, "2 CPUs < 8 wanted", "would match with resources.cpus: 8 → 2, for 0.03 NTX")
			if n := strings.Count(a.out, "CPUs < 8 wanted"); n != 2 {
				t.Errorf("%d offers have a reason, not 2:\n%s", n, a.out)
			}
			s.run(t, home, "", nil, "run", "-y", big).wants(t, exitNetwork, "resources.cpus: 8 → 2")
			image := s.job(t, map[string]string{"image": "sha256:" + strings.Repeat("0a", 32)})
			s.run(t, home, "", nil, "plan", image).wants(t, exitNetwork, "does not have image sha256:0a0a0a")
			s.run(t, home, "", nil, "plan", s.job(t, map[string]string{"image": "nobody/has:this"})).wants(t, exitConfig, "nobody/has:this")
		})
	})
	t.Run("too little money", func(t *testing.T) {
		poor := s.visitor(t, "poor", chain.Coins(50_000_000), chain.Coins(50_000_000))
		few := s.visitor(t, "few", chain.Coins(1_500_000).With(s.Faucet.NTX(), 5_000_000))
		s.unmoved(t, func() {
			small := s.job(t, map[string]string{"budget": "{max_ntx: 0.001}"})
			s.run(t, home, "", nil, "plan", small).wants(t, exitFunds, "budget.max_ntx: 0.001 → 0.03")
			s.run(t, home, "", nil, "run", "-y", small).wants(t, exitFunds, "the budget is 0.001 NTX")
			s.run(t, poor, "", nil, "run", "-y", s.job(t, nil)).wants(t, exitFunds, "0.03 NTX", "has 0 free", "addr_test1", "nothing was locked")
			s.run(t, few, "", nil, "run", "-y", s.job(t, nil)).wants(t, exitFunds, "ADA", "nothing was locked")
		})
		s.run(t, poor, "", nil, "wallet", "balance").wants(t, 0, "NTX      0", "ADA      100")
	})
	t.Run("another network", func(t *testing.T) {
		other := s.Network
		other.Magic++
		file := filepath.Join(t.TempDir(), "other.json")
		if err := other.Save(file); err != nil {
			t.Fatal(err)
		}
		away := filepath.Join(s.dir, "away")
		env := []string{"TALLY_WALLET_PASSPHRASE=away"}
		s.run(t, away, "", env, "init", "--network", file).wants(t, 0)
		s.run(t, away, "", env, "wallet", "balance").wants(t, exitConfig, "wrong network")
		s.run(t, away, "", env, "offers").wants(t, exitConfig, "wrong network")
	})
	t.Run("no container engine", func(t *testing.T) {
		env := []string{"DOCKER_HOST=unix://" + filepath.Join(t.TempDir(), "none.sock")}
		s.run(t, home, "", env, "run", "-y", s.job(t, nil)).wants(t, exitNetwork, "container engine unavailable")
		s.run(t, s.Providers[0].Home, "", env, "provider", "run").wants(t, exitNetwork, "container engine unavailable")
	})
	t.Run("a job that is not there", func(t *testing.T) {
		for _, args := range [][]string{
			{"status", "0123"},
			{"results", "0123"},
			{"receipt", "0123"},
			{"logs", "0123"},
			{"refund", "0123"},
			{"cancel", "0123"},
			{"run", "--resume", "0123"},
			{"status", "0123", "-o", "json"},
		} {
			s.run(t, home, "", nil, args...).wants(t, exitNotFound, "no such job")
		}
	})
	t.Run("no", func(t *testing.T) {
		s.unmoved(t, func() {
			for _, typed := range []string{"n\n", ""} {
				s.run(t, home, typed, nil, "run", s.job(t, nil)).wants(t, exitWallet, "Lock 0.03 NTX? [y/N]", "not confirmed", "nothing was locked")
			}
		})
		s.run(t, home, "", nil, "status").wants(t, 0, "no jobs yet")
	})
	t.Run("a provider breaks off", s.breaksOff)
	t.Run("a job", s.wholeJob)
}

// consolidates sends a provider outputs as settlements leave them, and waits until it has joined them.
func (s *street) consolidates(t *testing.T) {
	p := s.Providers[1]
	const n = 8
	small := func() (count int, sum chain.Value) {
		us, err := s.Node.UTxOs(t.Context(), p.Address)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range us {
			if u.Value.Of(s.Faucet.NTX()) > 0 && u.Value.Coin < wallet.CollateralLovelace {
				count++
			}
			if sum, err = sum.Add(u.Value); err != nil {
				t.Fatal(err)
			}
		}
		return count, sum
	}
	_, before := small()
	gift := testnet.Gift{To: p.Address}
	for range n {
		gift.Values = append(gift.Values, chain.Coins(1_200_000).With(s.Faucet.NTX(), 1_000_000))
	}
	if err := s.Faucet.Fund(t.Context(), s.Node, s.Contracts, []testnet.Gift{gift}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		count, after := small()
		if count == 0 && after.Of(s.Faucet.NTX()) == before.Of(s.Faucet.NTX())+n*1_000_000 {
			if fee := before.Coin + n*1_200_000 - after.Coin; fee == 0 || fee > 400_000 {
				t.Errorf("joining cost %d lovelace", fee)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d small outputs are still there, of %+v in all", count, after)
		}
	}
}

// breaksOff kills a provider between its quote and its witness. Should the kill come too late, the job goes its way and
// another is tried.
func (s *street) breaksOff(t *testing.T) {
	file := s.job(t, map[string]string{"shards": "{count: 2}"})
	for range 5 {
		before := s.holds(t)
		run, err := s.Requester.StartRun(file, filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Until(t.Context(), requester.Quoted); err != nil {
			t.Fatal(err)
		}
		if err := s.Providers[1].Process().Kill(); err != nil {
			t.Fatal(err)
		}
		out, code, err := run.Outcome(t.Context())
		if err := errors.Join(err, s.StartProvider(t.Context(), 1)); err != nil {
			t.Fatal(err)
		}
		if out.Phase != requester.Failed || out.Lots[0].Txs.Open != nil {
			t.Logf("too late: job %s is %s", out.ID, out.Phase)
			continue
		}
		if code != exitWallet || !strings.Contains(out.Error, s.Providers[1].Peer.String()) || strings.Contains(out.Error, s.Providers[0].Peer.String()) {
			t.Errorf("exit code %d, %s", code, out.Error)
		}
		s.same(t, before)
		s.run(t, s.Requester.Home, "", nil, "status", out.ID).wants(t, exitWallet, "not locked", s.Providers[1].Peer.String())
		return
	}
	t.Error("five times too late")
}

// freed starts a job that only the cheapest provider can run, as soon as that takes it: it may have witnessed the
// opening that came to nothing, and then it holds its reservation until that has expired.
func (s *street) freed(t *testing.T, file, results string) (run *testnet.Run, id string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		run, err := s.Requester.StartRun(file, results)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := run.Until(t.Context(), requester.Running); err == nil {
			return run, e.ID
		}
		out, _, err := run.Outcome(t.Context())
		if err != nil || !strings.Contains(out.Error, "refused (busy)") {
			t.Fatalf("%+v %v", out, err)
		}
	}
	t.Fatal("the provider's reservation is never released")
	return nil, ""
}

// wholeJob looks at a job from another terminal while it runs, lets it end, and looks again.
func (s *street) wholeJob(t *testing.T) {
	home := s.Requester.Home
	results := filepath.Join(t.TempDir(), "out")
	file := s.job(t, map[string]string{
		"run": "echo counted; until test -e $OUTPUT_DIR/go; do sleep 0.2; done", "budget": "{max_ntx: 0.18}",
		"timeouts": "{match: 10s, start: 20s, run: 180s, collect: 10s}",
	})
	run, id := s.freed(t, file, results)
	s.run(t, home, "", nil, "status", id).wants(t, exitNotFinished, "tally run is at work on it", "open")
	s.run(t, home, "", nil, "status").wants(t, 0, id)
	s.run(t, home, "", nil, "logs", id).wants(t, 0, "shard 0 | counted")
	s.run(t, home, "", nil, "results", id).wants(t, exitNotFinished, "at work")
	s.run(t, home, "", nil, "receipt", id).wants(t, exitNotFinished, "no receipts yet")
	s.run(t, home, "", nil, "run", "-y", s.job(t, nil)).wants(t, exitConfig, "another tally works in")
	dirs, err := filepath.Glob(filepath.Join(s.Providers[0].Home, "jobs", "*", "shard-0", "out"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("the program runs in %v: %v", dirs, err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, code, err := run.Outcome(t.Context())
	if err != nil || code != 0 || out.Outcome != "approved" || out.Lots[0].Provider != s.Providers[0].Peer {
		t.Fatalf("%d %+v %v", code, out, err)
	}
	s.unmoved(t, func() {
		again := s.run(t, home, "", nil, "run", "--resume", id, "-o", "json")
		again.wants(t, 0)
		var same requester.Outcome
		if err := json.Unmarshal([]byte(again.out), &same); err != nil || same.Phase != out.Phase || same.PriceUNTX != out.PriceUNTX {
			t.Errorf("%+v is not %+v: %v", same, out, err)
		}
		s.run(t, home, "", nil, "refund", id).wants(t, 0, "settled")
		s.run(t, home, "", nil, "status", id).wants(t, 0, "settled", "approved", "0.18")
		s.run(t, home, "", nil, "receipt", id).wants(t, 0, "accepted, 0.18 NTX", "they hold")
		s.run(t, home, "", nil, "logs", id).wants(t, exitNotFound, "no logs any more")
		if a := s.run(t, home, "", nil, "results", id); strings.TrimSpace(a.out) != results {
			t.Errorf("results in %s, not %s", a.out, results)
		}
		s.run(t, s.Providers[0].Home, "", nil, "provider", "status").wants(t, 0, "approved", "0.18", "together")
	})
}
