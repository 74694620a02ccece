//go:build faults

package collective

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faulty are the processes of one circle and what they have said.
type faulty struct {
	cmds  []*exec.Cmd
	dir   string // of their logs
	news  chan struct{}
	mu    sync.Mutex
	said  [][]string // by rank: "step members digest"
	known []report   // by rank, without its steps
}

func faultCrew(t *testing.T, n int) *faulty {
	t.Helper()
	f := &faulty{said: make([][]string, n), known: make([]report, n), news: make(chan struct{}, 1)}
	var err error
	if f.dir, err = os.MkdirTemp("", "faults-collectives-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(f.dir)
		}
	})
	var says []io.Writer
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait)
	for r := range n {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestFaultRank$", "-test.timeout", "30m")
		cmd.Env = append(os.Environ(), fmt.Sprintf("FAULT_RANK=%d", r))
		// A process group of its own: when the shell of a background job exits, the system continues what is stopped in the
		// job's (POSIX.1-2017, _exit), and a rank that should be silent speaks.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := os.Create(f.log(strconv.Itoa(r)))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = stderr
		err = cmd.Start()
		_ = stderr.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		f.cmds, says = append(f.cmds, cmd), append(says, in)
		readers.Go(func() { f.listen(r, cmd, out) })
	}
	f.until(t, "the address", func(_ int, at report) bool { return at.address != "" })
	var addresses []string
	for _, at := range f.reports() {
		addresses = append(addresses, at.address)
	}
	for _, in := range says {
		fmt.Fprintln(in, strings.Join(addresses, " "))
	}
	return f
}

// log is what a rank writes to its standard error.
func (f *faulty) log(rank string) string { return filepath.Join(f.dir, "rank"+rank+".log") }

// listen takes what a rank says until its process has ended.
func (f *faulty) listen(rank int, cmd *exec.Cmd, out io.Reader) {
	tell := func(change func()) {
		f.mu.Lock()
		change()
		f.mu.Unlock()
		select {
		case f.news <- struct{}{}:
		default:
		}
	}
	s := bufio.NewScanner(out)
	if s.Scan() {
		tell(func() { f.known[rank].address = s.Text() })
	}
	var rest []string
	for s.Scan() {
		if line := s.Text(); strings.Count(line, " ") == 2 {
			tell(func() { f.said[rank] = append(f.said[rank], line) })
		} else {
			rest = append(rest, strings.TrimSpace(line))
		}
	}
	err := cmd.Wait()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.Join(rest, "; "))
	}
	tell(func() { f.known[rank].over, f.known[rank].err = true, err })
}

// A report is how far a rank has come.
type report struct {
	address        string
	steps, members int   // members did the last step
	over           bool  // its process has ended
	err            error // like this
}

func (f *faulty) reports() []report {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.known)
	for r, said := range f.said {
		if all[r].steps = len(said); len(said) > 0 {
			all[r].members, _ = strconv.Atoi(strings.Fields(said[len(said)-1])[1])
		}
	}
	return all
}

// faultLimit is how long a wait of TestFaults takes at most, and faultLook how often it looks. Looks are counted, not
// time: while the whole machine stands still, nothing is late.
const (
	faultLimit = 2 * time.Minute
	faultLook  = 100 * time.Millisecond
)

// until waits for every rank. It names those that are not there when time is up, or have ended, and gives up.
func (f *faulty) until(t *testing.T, what string, ok func(r int, at report) bool) {
	t.Helper()
	tick := time.NewTicker(faultLook)
	defer tick.Stop()
	for left := int(faultLimit / faultLook); ; {
		var missing []string
		hopeless := left == 0
		for r, at := range f.reports() {
			if ok(r, at) {
				continue
			}
			one := fmt.Sprintf("rank %d, after %d steps, the last with %d members", r, at.steps, at.members)
			if hopeless = hopeless || at.over; at.over {
				one += fmt.Sprintf(", has ended: %v", at.err)
			}
			missing = append(missing, one)
		}
		switch {
		case len(missing) == 0:
			return
		case hopeless:
			f.dump()
			t.Fatalf("waited %v for %s of %s. What each rank did and where it was: %s",
				faultLimit-time.Duration(left)*faultLook, what, strings.Join(missing, "; "), f.log("*"))
		}
		select {
		case <-f.news:
		case <-tick.C:
			left--
		}
	}
}

// dump has each process write its stacks to its log, and end.
func (f *faulty) dump() {
	for _, cmd := range f.cmds {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Process.Signal(syscall.SIGCONT) // one that was stopped could not
	}
	for range int(10 * time.Second / faultLook) {
		if !slices.ContainsFunc(f.reports(), func(at report) bool { return !at.over }) {
			return
		}
		time.Sleep(faultLook)
	}
}

// compare finds a step with two results.
func (f *faulty) compare(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	results := map[string]string{}
	for r, said := range f.said {
		for _, line := range said {
			words := strings.Fields(line)
			if first, had := results[words[0]]; had && first != words[2] {
				t.Errorf("step %s: rank %d has %s, another %s", words[0], r, words[2], first)
			}
			results[words[0]] = words[2]
		}
	}
}
