package testnet_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/testnet"
)

// TestLookSees is the negative control of look: participants that do have something in common.
func TestLookSees(t *testing.T) {
	dir := t.TempDir()
	shared := filepath.Join(dir, "shared")
	if err := os.WriteFile(shared, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "fifo")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, c := range map[string]struct{ a, b, want string }{
		"nothing":        {"true", "true", ""},
		"a file":         {"exec 3<" + shared, "exec 3<" + shared, "both have"},
		"another's home": {"true", "exec 3<" + filepath.Join(dir, "a", "secret"), "of a open"},
		"a pipe":         {"exec 3<>" + pipe, "exec 3<>" + pipe, "both have"},
		"a connection":   {"exec 3<>/dev/tcp/127.0.0.1/" + port, "true", "to no participant"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &testnet.World{Process: &testnet.NodeProcess{}, Bootstrap: &testnet.Participant{Name: "bootstrap", Home: filepath.Join(dir, "c")}}
			for who, script := range map[string]string{"a": c.a, "b": c.b} {
				p := &testnet.Participant{Name: who, Home: filepath.Join(dir, who)}
				if err := os.MkdirAll(p.Home, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(p.Home, "secret"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				w.Providers = append(w.Providers, p)
				if who == "a" {
					w.Requester, w.Providers = p, w.Providers[:len(w.Providers)-1]
				}
				ready(t, p, "[ -p "+pipe+" ] || mkfifo "+pipe+" || true; "+script+"; echo '{}'; sleep 60")
			}
			got, err := look(w)
			if err != nil || len(got.looked) != 2 {
				t.Fatalf("looked at %v, %v", got.looked, err)
			}
			if all := strings.Join(got.wrong, "; "); (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
				t.Errorf("saw %q, want %q", all, c.want)
			}
		})
	}
}

// ready runs a shell script until it has written a line.
func ready(t *testing.T, p *testnet.Participant, script string) {
	t.Helper()
	err := p.Run(testnet.Spec{
		Name: p.Name, Program: "/bin/bash", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Dir: p.Home, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	proc := p.Process()
	t.Cleanup(func() {
		if err := proc.Kill(); err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for len(proc.Output()) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the script said nothing")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
