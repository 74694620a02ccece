package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/testnet"
)

// sends is a payment of three ADA that is killed and ordered again.
type sends struct {
	*bank
	from account
	to   chain.Address
}

const killedAmount = 3_000_000

// killedAt runs a command and kills the process when a segment of its connections is seen, before it goes on. It says
// what the process had written.
func (b *bank) killedAt(t *testing.T, from account, die func(segment) bool, args ...string) string {
	t.Helper()
	cmd := exec.Command(b.bin, append(args, "--home", from.home)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var mu sync.Mutex
	dead := false
	r := newRelay(t, b.socket, func(g segment) bool {
		mu.Lock()
		defer mu.Unlock()
		if dead = dead || die(g); dead {
			_ = cmd.Process.Kill() // it may have ended
		}
		return !dead
	})
	n, err := testnet.Load(filepath.Join(b.dir, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	n.Socket = r.socket
	file := filepath.Join(t.TempDir(), "network.json")
	if err := n.Save(file); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TALLY_WALLET_PASSPHRASE=the passphrase of "+filepath.Base(from.home), "TALLY_NETWORK="+file)
	mu.Lock()
	err = cmd.Start()
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out.String()
}

func (s sends) killedAt(t *testing.T, die func(segment) bool) string {
	return s.bank.killedAt(t, s.from, die, "wallet", "send", "-y", "--to", s.to.String(), "3", "ADA")
}

// repeated orders the payment again, after it was killed, and checks that as many payments were made as were told of.
func (s sends) repeated(t *testing.T, before chain.Value, told string) (resumed bool) {
	t.Helper()
	again := s.tally(t, s.from.home, "", "send", "-y", "--to", s.to.String(), "3", "ADA")
	again.wants(t, 0)
	ids := map[string]bool{}
	for _, line := range strings.Fields(told + again.out) {
		if len(line) == 64 {
			ids[line] = true
		}
	}
	more, err := s.at(t, s.to).Sub(before)
	if err != nil || more.Coin != killedAmount*chain.Lovelace(len(ids)) || len(ids) == 0 {
		t.Fatalf("%d payments were told of, %v came: %v\n%s", len(ids), more, err, again.err)
	}
	if left, err := filepath.Glob(filepath.Join(s.from.home, owners)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return strings.Contains(again.err, "nothing is paid twice")
}

// killed kills a payment before the node has it, before it is known that the node has it, and before it is known that a
// block does: the same command goes on with it.
func (b *bank) killed(t *testing.T, from account, to chain.Address) {
	s := sends{b, from, to}
	answers := 0
	for name, die := range map[string]func(segment) bool{
		"before it is handed in":   func(g segment) bool { return g.protocol == protocolSubmit && g.toNode },
		"before the node answered": func(g segment) bool { return g.protocol == protocolSubmit && !g.toNode },
		"before a block was read": func(g segment) bool {
			if g.protocol == protocolChainSync && !g.toNode {
				answers++
			}
			return answers > 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			answers = 0
			before := b.at(t, to)
			told := s.killedAt(t, die)
			if !s.repeated(t, before, told) || told != "" {
				t.Errorf("it did not go on; told: %q", told)
			}
		})
	}

	t.Run("once more, on purpose", func(t *testing.T) {
		before := b.at(t, to)
		s.killedAt(t, func(g segment) bool { return g.protocol == protocolSubmit })
		other := b.tally(t, from.home, "", "send", "-y", "--to", to.String(), "4", "ADA")
		other.wants(t, 0, "An earlier payment was interrupted", "tally wallet submit ")
		_, file, _ := strings.Cut(other.err, "tally wallet submit ")
		file, _, _ = strings.Cut(file, "\n")
		b.tally(t, from.home, "", "send", "-y", "--again", "--to", to.String(), "3", "ADA").wants(t, 0, "This is another one")
		b.tally(t, from.home, "", "send", "-y", "--to", to.String(), "3", "ADA", "-o", "json").wants(t, 0, `"resumed": true`, `"standing": "confirmed"`)
		b.tally(t, from.home, "", "submit", file).wants(t, 0, "in the chain already")
		if more, err := b.at(t, to).Sub(before); err != nil || more.Coin != 10_000_000 {
			t.Errorf("%v came: %v", more, err)
		}
	})
}
