package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// TestMain lets the test binary be the program tally, for scripts and for the testnet's participants. Only the hash of
// its wallets' passphrases is quicker: they are opened a hundred times.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tally": func() { program(&app{workFactor: 10}) }})
}

// TestScripts runs testdata/*.txtar: what a person types, and what comes of it. There is no node, no peer and no
// container engine.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TALLY_WALLET_PASSPHRASE", "correct horse battery staple")
			e.Setenv("DOCKER_HOST", "unix://"+filepath.Join(e.WorkDir, "none.sock"))
			return errors.Join(writeNetwork(filepath.Join(e.WorkDir, "network.json")), writeUnsigned(filepath.Join(e.WorkDir, "tx.json")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":    fails,
			"failure":  explained,
			"occupy":   occupy,
			"samebody": sameBody,
		},
	})
}

// writeNetwork writes the facts of a network that nobody runs.
func writeNetwork(path string) error {
	net := chain.Network{Magic: 42}
	f, err := testnet.NewFaucet(net)
	if err != nil {
		return err
	}
	pace := testnet.DevnetPace()
	return testnet.Network{
		Name: "nowhere", Magic: net.Magic, Contracts: plutus.Devnet(f.NTX()), Socket: filepath.Join(filepath.Dir(path), "node.sock"),
		Bootstrap: []string{}, MarginMS: pace.MarginMS, LockMS: pace.LockMS, PollMS: pace.PollMS, Confirmations: 1, Policy: pace.Policy,
	}.Save(path)
}

// fails CODE PROGRAM ARGS… runs a program, which must end with that exit code.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PROGRAM ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
	if strings.Contains(ts.ReadFile("stderr"), "goroutine ") {
		ts.Fatalf("a stack trace")
	}
}

// explained is the command failure CODE: it checks that standard error is one JSON object that says what happened and what to do.
func explained(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: failure CODE")
	}
	var f struct {
		Code          int
		Message, Hint string
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stderr")))
	d.DisallowUnknownFields()
	ts.Check(d.Decode(&f))
	if d.More() || strconv.Itoa(f.Code) != args[0] || f.Message == "" || f.Hint == "" {
		ts.Fatalf("not one failure with code %s, a message and a hint", args[0])
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("data on stdout: %s", out)
	}
}

// occupy DIR works in a data directory, as another process would, until the script ends.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy DIR")
	}
	f, err := lockHome(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = f.Close() })
}
