package collective

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rankProcess is a program in a circle: one process of Python with the SDK, behind a gate of its own.
type rankProcess struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
	served chan error
}

// elasticRank serves a circle to a new process.
func elasticRank(t *testing.T, c *Circle, args ...string) *rankProcess {
	t.Helper()
	return startRank(t, func(gate *Gate) error { return gate.RunCircle(t.Context(), c) }, args...)
}

// startRank starts a process with a gate of its own.
func startRank(t *testing.T, serve func(*Gate) error, args ...string) *rankProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "tally")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	gate, err := NewGate(GateOptions{Dir: dir, ArenaBytes: testArena, Job: "elastic", LocalSize: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	p := &rankProcess{served: make(chan error, 1)}
	go func() {
		err := serve(gate)
		p.served <- errors.Join(err, gate.Close())
	}()
	sdk, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(t.Context(), "python3", append([]string{filepath.Join("testdata", "elastic.py")}, args...)...)
	p.cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1", "TALLY_SOCKET="+gate.SocketPath())
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	return p
}

// until reads the program's lines up to one that begins so.
func (p *rankProcess) until(prefix string) (string, error) {
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), prefix) {
			return p.lines.Text(), nil
		}
	}
	err := p.cmd.Wait()
	return "", fmt.Errorf("it ended before it said %q: %w: %s", prefix, err, p.stderr.String())
}

// TestElasticPython trains in three processes with the Python SDK. One of them is killed, with its agent or without, while
// the others wait for it in an operation; they finish, and agree to the last bit.
func TestElasticPython(t *testing.T) {
	const steps = 20
	for name, c := range map[string]struct {
		mode string
		kill func(w *world, p *rankProcess)
	}{
		"the program is killed":               {"plain", func(_ *world, p *rankProcess) { _ = p.cmd.Process.Kill() }},
		"the machine is gone":                 {"plain", func(w *world, p *rankProcess) { w.lose(2); _ = p.cmd.Process.Kill() }},
		"a broadcast comes from the lost one": {"root", func(w *world, p *rankProcess) { w.lose(2); _ = p.cmd.Process.Kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			w, circles := newCircles(t, 3, brisk)
			ranks := make([]*rankProcess, 3)
			for r, circle := range circles {
				ranks[r] = elasticRank(t, circle, fmt.Sprint(steps), c.mode)
			}
			ends := make([]string, 3)
			w.all(func(r int) (err error) {
				if r == 2 {
					if _, err := ranks[r].until("step 5 "); err != nil {
						return err
					}
					c.kill(w, ranks[r])
					_ = ranks[r].cmd.Wait()
					if err := <-ranks[r].served; !errors.Is(err, ErrGuest) {
						return fmt.Errorf("the gate of the killed program: %w", err)
					}
					return nil
				}
				if ends[r], err = ranks[r].until("done"); err != nil {
					return err
				}
				return errors.Join(ranks[r].cmd.Wait(), <-ranks[r].served, circles[r].Close(t.Context()))
			})
			for r := range 2 {
				if want := fmt.Sprintf(" 2 [(%d, 2)]", r); !strings.HasSuffix(ends[r], want) {
					t.Errorf("rank %d ended with %q, want %q at its end", r, ends[r], want)
				}
			}
			if a, b := strings.Fields(ends[0]), strings.Fields(ends[1]); len(a) < 2 || len(b) < 2 || a[1] != b[1] {
				t.Errorf("they parted: %q and %q", ends[0], ends[1])
			}
			disperse(t, circles)
		})
	}
}

// TestOddOneOutTakesThePopularState has one rank's state go wrong by a bit.
func TestOddOneOutTakesThePopularState(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	ends, said := make([]string, 3), make([]string, 3)
	w.all(func(r int) (err error) {
		p := elasticRank(t, circles[r], "12", "odd")
		if ends[r], err = p.until("done"); err != nil {
			return err
		}
		err = errors.Join(p.cmd.Wait(), <-p.served, circles[r].Close(t.Context()))
		said[r] = p.stderr.String()
		return err
	})
	for r := range 3 {
		if ends[r] != ends[0] {
			t.Errorf("rank %d ended with %q, rank 0 with %q", r, ends[r], ends[0])
		}
		if !strings.Contains(said[r], "ranks [1] have another state than rank 0 and take it (commit 8)") {
			t.Errorf("rank %d said %q", r, said[r])
		}
	}
	disperse(t, circles)
}

// TestElasticJoiner loses a program, and another takes its place at a step boundary, with the state of the others.
func TestElasticJoiner(t *testing.T) {
	w, circles := newCircles(t, 3, brisk)
	const steps = "150"
	ranks := make([]*rankProcess, 3)
	for r, circle := range circles {
		ranks[r] = elasticRank(t, circle, steps, "plain")
	}
	ends := make([]string, 3)
	w.all(func(r int) (err error) {
		if r == 2 {
			if _, err := ranks[r].until("step 5 "); err != nil {
				return err
			}
			_ = ranks[r].cmd.Process.Kill()
			_ = ranks[r].cmd.Wait()
			<-ranks[r].served
			o := brisk
			o.Join = time.Minute
			if circles[r], err = w.services[r].Enter(t.Context(), w.view(r), o); err != nil {
				return err
			}
			ranks[r] = elasticRank(t, circles[r], steps, "plain")
		}
		if ends[r], err = ranks[r].until("done"); err != nil {
			return err
		}
		return errors.Join(ranks[r].cmd.Wait(), <-ranks[r].served, circles[r].Close(t.Context()))
	})
	for r := range 3 {
		if a, b := strings.Fields(ends[r]), strings.Fields(ends[0]); a[1] != b[1] || a[2] != "3" {
			t.Errorf("rank %d ended with %q, rank 0 with %q", r, ends[r], ends[0])
		}
	}
	disperse(t, circles)
}

// TestElasticSpares has two programs wait in init(): one goes on in the place of a program that is killed, and the other one
// ends by itself with the job.
func TestElasticSpares(t *testing.T) {
	o := brisk
	o.Least = 3
	w := newCircus(t, 3, 2, o)
	const steps = "150"
	ranks, ends := make([]*rankProcess, 5), make([]string, 5)
	for r := range ranks {
		ranks[r] = startRank(t, func(gate *Gate) error {
			if r >= 3 {
				if err := gate.Await(t.Context()); err != nil {
					return err
				}
				if err := w.enter(t.Context(), r); errors.Is(err, ErrOver) {
					return gate.Dismiss(t.Context())
				} else if err != nil {
					return err
				}
			} else if err := w.knocks(t.Context(), r, 3, 4); err != nil { // both wait
				return err
			}
			return gate.RunCircle(t.Context(), w.circles[r])
		}, steps, "plain")
	}
	w.all(func(r int) (err error) {
		switch r {
		case 1:
			if _, err := ranks[r].until("step 5 "); err != nil {
				return err
			}
			_ = ranks[r].cmd.Process.Kill()
			_ = ranks[r].cmd.Wait()
			<-ranks[r].served
			return nil
		case 4:
			if _, err := ranks[r].until("step"); err == nil || ranks[r].cmd.ProcessState.ExitCode() != 0 {
				return fmt.Errorf("the spare that was not called in: %v, %w", ranks[r].cmd.ProcessState, err)
			}
			if said := ranks[r].stderr.String(); !strings.Contains(said, "this spare stood by") {
				return fmt.Errorf("it said %q", said)
			}
			return <-ranks[r].served
		}
		if ends[r], err = ranks[r].until("done"); err != nil {
			return err
		}
		return errors.Join(ranks[r].cmd.Wait(), <-ranks[r].served, w.circles[r].Close(t.Context()))
	})
	for _, r := range []int{0, 2, 3} {
		if a, b := strings.Fields(ends[r]), strings.Fields(ends[0]); len(a) < 3 || a[1] != b[1] || a[2] != "3" {
			t.Errorf("rank %d ended with %q, rank 0 with %q", r, ends[r], ends[0])
		}
		w.ended(t, r, w.ids(0, 2, 3), w.ids(4))
	}
}
