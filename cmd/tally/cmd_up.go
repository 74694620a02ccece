package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallycompute/tally/testnet"
	"github.com/tallycompute/tally/testnet/images"
)

// worldFile is what a running testnet says of itself: DIR/world.json.
type worldFile struct {
	PID       int               `json:"pid"`
	Requester string            `json:"requester_home"`
	Providers map[string]string `json:"provider_homes"` // by name
	Network   string            `json:"network"`
	Socket    string            `json:"socket"`
	Started   time.Time         `json:"started"`
}

func testnetCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "testnet", Short: "A whole market on this machine, with test money"}
	dir := ""
	c.PersistentFlags().StringVar(&dir, "dir", setting("TESTNET_DIR", defaultTestnet()), "where the testnet's node and participants keep their data")
	up := &cobra.Command{
		Use: "up", Short: "Start a new testnet in the background: a node, four providers, a funded requester", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.testnetUp(cmd.Context(), dir) },
	}
	serve := &cobra.Command{
		Use: "serve", Short: "Run a testnet until interrupted", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.testnetServe(cmd.Context(), dir) },
	}
	down := &cobra.Command{
		Use: "down", Short: "Stop the testnet; its data stays until the next up", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.testnetDown(cmd.Context(), dir) },
	}
	status := &cobra.Command{
		Use: "status", Short: "Whether the testnet runs, and where its participants are", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.testnetStatus(dir) },
	}
	c.AddCommand(up, serve, down, status, bootstrapCommand(a), testnetNetworkCommand(a), testnetMintCommand(a))
	return c
}

func defaultTestnet() string {
	d, err := os.UserCacheDir()
	if err != nil {
		return "tally-testnet"
	}
	return filepath.Join(d, "tally", "testnet")
}

// readWorld reads a testnet's file; running says whether its process is there.
func readWorld(dir string) (w worldFile, running bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "world.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return w, false, nil
	}
	if err != nil {
		return w, false, err
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return w, false, fail(exitConfig, err, "remove %s and start again", dir)
	}
	return w, alive(w.PID), nil
}

func (a *app) testnetUp(ctx context.Context, dir string) error {
	if _, running, err := readWorld(dir); err != nil || running {
		if running {
			err = fail(exitConfig, errors.New("a testnet is running already"), "tally testnet status shows it, tally testnet down stops it")
		}
		return err
	}
	if _, err := images.Ensure(ctx, func(step string, took time.Duration, detail string) {
		a.note("%6.1fs  image %s  %s", took.Seconds(), step, detail)
	}); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := logFile(dir)
	if err != nil {
		return fail(exitConfig, err, "choose another --dir")
	}
	a.note("%6.1fs  starting a Cardano node, four providers and a requester; log %s", 0.0, log.Name())
	began, told := time.Now(), int64(0)
	cmd := exec.Command(self, "testnet", "serve", "--dir", dir)
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), cmd.Process.Signal(os.Interrupt))
		case err := <-ended:
			return fail(exitInternal, fmt.Errorf("the testnet did not come up: %w: %s", err, lastLine(log.Name())), "its log is %s", log.Name())
		case <-time.After(200 * time.Millisecond):
		}
		told = a.steps(log.Name(), told, began)
		if w, running, err := readWorld(dir); err != nil || running && w.PID == cmd.Process.Pid {
			if err != nil {
				return err
			}
			return a.testnetStatus(dir)
		}
	}
}

// steps tells what the testnet's process has newly noted in its log, and how far that is.
func (a *app) steps(log string, told int64, began time.Time) int64 {
	b, err := os.ReadFile(log)
	if err != nil || int64(len(b)) < told {
		return told
	}
	for line := range strings.Lines(string(b[told:])) {
		if step, ok := strings.CutPrefix(line, stepMark); ok && strings.HasSuffix(line, "\n") {
			a.note("%6.1fs  %s", time.Since(began).Seconds(), step)
		}
		if strings.HasSuffix(line, "\n") {
			told += int64(len(line))
		}
	}
	return told
}

// stepMark begins a line of the log that whoever waits for the testnet is told.
const stepMark = "step: "

func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func logFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(dir+".log", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// rates of the testnet's providers, NTX per shard-second.
func rates() []string { return []string{"0.001", "0.0012", "0.0015", "0.002"} }

// testnetServe is the process behind a testnet: everything in it is its child.
func (a *app) testnetServe(ctx context.Context, dir string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	w, err := testnet.NewWorld(testnet.WorldConfig{
		Dir: dir, Bin: self, NodeBin: nodeBeside(self), SlotLength: time.Second / 2, Rates: rates(), Pace: testnet.DevnetPace(),
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, w.Stop(context.WithoutCancel(ctx)), os.Remove(filepath.Join(dir, "world.json")))
	}()
	if err := a.raise(ctx, w); err != nil {
		return err
	}
	f := worldFile{
		PID: os.Getpid(), Requester: w.Requester.Home, Providers: map[string]string{}, Network: filepath.Join(dir, "network.json"),
		Socket: w.Process.Socket, Started: time.Now(),
	}
	for _, p := range w.Providers {
		f.Providers[p.Name] = p.Home
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "world.json.new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, "world.json")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// raise starts everything a testnet has.
func (a *app) raise(ctx context.Context, w *testnet.World) error {
	if err := w.StartNode(ctx); err != nil {
		return err
	}
	a.note(stepMark + "the node makes blocks")
	if err := w.StartBootstrap(ctx); err != nil {
		return err
	}
	if err := w.Init(ctx, []string{images.Python, images.Torch}); err != nil {
		return err
	}
	if err := w.Fund(ctx); err != nil {
		return err
	}
	a.note(stepMark + "every wallet has money")
	if err := w.StartProviders(ctx); err != nil {
		return err
	}
	a.note(stepMark + "every provider has published its offer")
	for _, p := range w.Participants() {
		if err := p.KeepPassphrase(); err != nil {
			return err
		}
	}
	return nil
}

// nodeBeside is the program tally-devnet next to this one; "" if it is not there, and then it is built.
func nodeBeside(self string) string {
	path := filepath.Join(filepath.Dir(self), "tally-devnet")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func (a *app) testnetDown(ctx context.Context, dir string) error {
	w, running, err := readWorld(dir)
	if err != nil {
		return err
	}
	if !running {
		return fail(exitNotFound, errors.New("no testnet is running"), "tally testnet up starts one")
	}
	p, err := os.FindProcess(w.PID)
	if err != nil {
		return err
	}
	if err := p.Signal(os.Interrupt); err != nil {
		return err
	}
	for alive(w.PID) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	a.note("stopped")
	return nil
}

func (a *app) testnetStatus(dir string) error {
	w, running, err := readWorld(dir)
	if err != nil {
		return err
	}
	if !running {
		return fail(exitNotFound, errors.New("no testnet is running"), "tally testnet up starts one")
	}
	if err := a.print(w, func(out io.Writer) {
		rows := [][]string{
			{"running since", w.Started.Format(time.DateTime) + ", process " + strconv.Itoa(w.PID)}, {"node", w.Socket}, {"requester", w.Requester},
		}
		for _, name := range slices.Sorted(maps.Keys(w.Providers)) {
			rows = append(rows, []string{name, w.Providers[name]})
		}
		columns(out, rows...)
	}); err != nil {
		return err
	}
	if a.output != "json" {
		a.note("\nTo act as its requester:\n\n  export TALLY_HOME=%s\n  tally run examples/digits/job.yaml", w.Requester)
	}
	return nil
}
