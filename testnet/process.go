package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// ErrProcess is a child process that did not do what it should.
var ErrProcess = errors.New("child process")

const (
	maxLine   = 4 << 20          // bytes of a line of output that are kept
	killGrace = 20 * time.Second // from SIGTERM to SIGKILL
	tailBytes = 1500             // of a log, in an error
)

// Process is a program run as a child, in a process group of its own, that dies with this process however this one
// dies. Its standard error goes to a file.
type Process struct {
	Name string
	Log  string // path of what it wrote to standard error
	cmd  *exec.Cmd
	out  *lines
	errs *lines
	done chan struct{}
	code int   // exit code; −1: a signal ended it
	err  error // why it was not the program that ended it
}

// Spec says what to run.
type Spec struct {
	Name    string
	Program string
	Args    []string
	Env     []string // all of it
	Dir     string
	Log     string // file for standard error, appended to
}

// StartProcess starts a program. Whoever starts one calls Stop or Kill.
func StartProcess(s Spec) (*Process, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w: %w", s.Name, ErrProcess, err)
	}
	keepInherited()
	cmd := exec.Command(s.Program, s.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = s.Env, s.Dir, ownGroup()
	out, err := cmd.StdoutPipe()
	if err == nil {
		var errPipe io.ReadCloser
		if errPipe, err = cmd.StderrPipe(); err == nil {
			p := &Process{Name: s.Name, Log: s.Log, cmd: cmd, out: newLines(), errs: newLines(), done: make(chan struct{})}
			started := make(chan error)
			go p.run(out, errPipe, log, started)
			if err = <-started; err == nil {
				return p, nil
			}
		}
	}
	log.Close()
	return nil, fmt.Errorf("starting %s: %w: %w", s.Name, ErrProcess, err)
}

// run starts the program and waits for it on one thread: when the thread that started a child ends, the kernel takes
// its parent for dead.
func (p *Process) run(out, errs io.ReadCloser, log io.WriteCloser, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	var wg sync.WaitGroup
	wg.Add(2)
	go func() { defer wg.Done(); p.out.read(out, nil) }()
	go func() { defer wg.Done(); p.errs.read(errs, log) }()
	// What the program started and left behind ends with it; it may hold the pipes open, too.
	p.code = -1
	state, err := p.cmd.Process.Wait()
	killLeft(p.PID())
	wg.Wait()
	if err == nil {
		p.code = state.ExitCode()
	}
	if p.code < 0 && err == nil {
		err = errors.New(state.String())
	}
	p.err = errors.Join(err, out.Close(), errs.Close(), log.Close())
	close(p.done)
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and all its output was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns the exit code when the process has ended by itself, or an error.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s: %w", p.Name, context.Cause(ctx))
	}
	if p.code >= 0 {
		return p.code, nil
	}
	return 0, fmt.Errorf("%s: %w: %w", p.Name, ErrProcess, p.err)
}

// Output is every line that the process has written to standard output so far.
func (p *Process) Output() [][]byte { return p.out.all() }

// Ready decodes the first line of standard output, a JSON object, into v.
func (p *Process) Ready(ctx context.Context, v any) error {
	line, err := p.out.at(ctx, 0, p.done)
	if err != nil {
		return p.fail("waiting until it is ready", err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return p.fail("reading its first line", err)
	}
	return nil
}

// fail says what went wrong with the process, with the end of its log.
func (p *Process) fail(doing string, err error) error {
	return fmt.Errorf("%s: %s: %w: %w\n%s", p.Name, doing, ErrProcess, err, tail(p.Log))
}

// tail is the end of a file, for people.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return fmt.Sprintf("-- %s --\n%s", filepath.Base(path), bytes.TrimSpace(b))
}

// Kill ends the process and its group at once, as a crash would, and waits until it has ended.
func (p *Process) Kill() error {
	if err := killGroup(p.PID()); err != nil {
		select {
		case <-p.done:
			return nil
		default:
			return fmt.Errorf("killing %s: %w: %w", p.Name, ErrProcess, err)
		}
	}
	<-p.done
	return nil
}

// Stop asks the process to end, and kills it if it does not within a grace.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := terminate(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w: %w", p.Name, ErrProcess, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(killGrace):
		return errors.Join(fmt.Errorf("stopping %s: %w: it did not end within %v", p.Name, ErrProcess, killGrace), p.Kill())
	}
}

// lines keeps a stream's lines and wakes who waits for them.
type lines struct {
	mu      sync.Mutex
	kept    [][]byte
	when    []time.Time
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) read(r io.Reader, copyTo io.Writer) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(br)
		if len(line) > 0 {
			if copyTo != nil {
				_, _ = copyTo.Write(append(line, '\n'))
			}
			l.mu.Lock()
			l.kept, l.when = append(l.kept, line), append(l.when, time.Now())
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// readLine reads a line without its end and drops what is beyond maxLine.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := br.ReadLine()
		if len(line)+len(part) <= maxLine {
			line = append(line, part...)
		}
		if err != nil || !more {
			return line, err
		}
	}
}

func (l *lines) all() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.kept...)
}

// next is the lines from number i on, when they were read, and a channel that closes when there are more.
func (l *lines) next(i int) ([][]byte, []time.Time, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[i:], l.when[i:], l.changed
}

// at is line number i once it is there.
func (l *lines) at(ctx context.Context, i int, ended <-chan struct{}) ([]byte, error) {
	for {
		select {
		case <-ended: // what it wrote is all there
			if all := l.all(); len(all) > i {
				return all[i], nil
			}
			return nil, errors.New("it ended")
		default:
		}
		l.mu.Lock()
		changed, have := l.changed, len(l.kept) > i
		l.mu.Unlock()
		if have {
			return l.all()[i], nil
		}
		select {
		case <-changed:
		case <-ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
