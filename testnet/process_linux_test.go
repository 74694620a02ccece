package testnet_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallycompute/tally/testnet"
)

const orphanEnv = "TALLY_TEST_PARENT_OF" // where the parent below logs

// TestParent is no test of its own: it is the parent that TestNoOrphans kills.
func TestParent(t *testing.T) {
	log := os.Getenv(orphanEnv)
	if log == "" {
		return
	}
	p, err := testnet.StartProcess(testnet.Spec{Name: "child", Program: "/bin/sleep", Args: []string{"600"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d\n", p.PID())
	<-p.Done()
}

// TestNoOrphans kills a process that has a child: the child ends with it.
func TestNoOrphans(t *testing.T) {
	parent := exec.Command(os.Args[0], "-test.run", "^TestParent$")
	parent.Env = append(os.Environ(), orphanEnv+"="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for sc := bufio.NewScanner(out); child == 0 && sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "child "); ok {
			fmt.Sscan(rest, &child)
		}
	}
	if child == 0 {
		t.Fatal("the parent started no child")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if gone(child) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived its parent", child)
		}
	}
}

// gone says whether a process has ended; whoever inherited it may not have collected it yet.
func gone(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// TestProcessEnds is Stop, Kill and the ends that a process makes for itself.
func TestProcessEnds(t *testing.T) {
	start := func(script string) *testnet.Process {
		t.Helper()
		p, err := testnet.StartProcess(testnet.Spec{
			Name: "sh", Program: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := start("echo '{\"a\": 1}'; echo why >&2; exit 3")
	var v struct{ A int }
	if err := p.Ready(t.Context(), &v); err != nil || v.A != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if code, err := p.Wait(t.Context()); code != 3 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	p = start("echo why >&2; exit 3")
	if err := p.Ready(t.Context(), &v); !errors.Is(err, testnet.ErrProcess) || !strings.Contains(err.Error(), "why") {
		t.Errorf("a process that ends before it is ready: %v", err)
	}
	p = start("sleep 600 & wait")
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(t.Context()); !errors.Is(err, testnet.ErrProcess) {
		t.Errorf("a killed process: %v", err)
	}
	p = start("trap 'exit 0' TERM; echo '{}'; sleep 600 & wait")
	if err := errors.Join(p.Ready(t.Context(), &v), p.Stop(), p.Stop()); err != nil {
		t.Error(err)
	}
	if _, err := testnet.StartProcess(testnet.Spec{Name: "none", Program: "/none", Log: filepath.Join(t.TempDir(), "log")}); !errors.Is(err, testnet.ErrProcess) {
		t.Errorf("no such program: %v", err)
	}
}
