package collective

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func python(t *testing.T, socket, script string, args ...string) (string, error) {
	t.Helper()
	sdk, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{filepath.Join("testdata", script)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1", "TALLY_SOCKET="+socket, "OUTPUT_DIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// TestPythonSDK has real Python processes, one a rank, sum through real gates.
func TestPythonSDK(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			w := newWorld(t, n, Options{})
			gs := newGates(t, t.Context(), w)
			outs := make([]string, n)
			w.all(func(r int) error {
				out, err := python(t, filepath.Join(gs.dirs[r], "agent.sock"), "core.py", fmt.Sprint(r), fmt.Sprint(n))
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				outs[r] = out
				return <-gs.runs[r]
			})
			for r, out := range outs {
				if !strings.HasPrefix(out, "digest ") || out != outs[0] {
					t.Errorf("rank %d ended with %q, rank 0 with %q", r, out, outs[0])
				}
			}
			w.close()
		})
	}
}

func TestPythonCrashAbortsTheGroup(t *testing.T) {
	w := newWorld(t, 2, Options{})
	gs := newGates(t, t.Context(), w)
	w.each(func(r int) error {
		out, err := python(t, filepath.Join(gs.dirs[r], "agent.sock"), "crash.py", fmt.Sprint(r))
		if err == nil {
			t.Errorf("rank %d went well: %s", r, out)
		}
		if r == 0 && (!strings.Contains(out, "CollectiveError") || !strings.Contains(out, w.hosts[1].ID().String())) {
			t.Errorf("rank 0 was told: %s", out)
		}
		if err := <-gs.runs[r]; err == nil {
			t.Errorf("rank %d: the gate took a crash for a goodbye", r)
		}
		return nil
	})
	w.drop()
}

// TestPythonUnitTests runs the SDK's own tests.
func TestPythonUnitTests(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "python3", "-m", "unittest", "discover", "-s", "tests")
	cmd.Dir = "../python"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
