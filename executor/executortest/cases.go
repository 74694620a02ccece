package executortest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tallycompute/tally/executor"
)

func (s *suite) exitCodes() {
	for id, want := range map[string]struct {
		code int
		ok   bool
	}{"0": {0, true}, "1": {1, false}, "42": {42, false}} {
		h := s.start(s.task("exit-"+id, "exit", id))
		got := s.wait(h)
		if got.ExitCode != want.code || got.Reason != executor.ReasonExited || got.OOMKilled || got.OK() != want.ok {
			s.Errorf("exit %s: %+v", id, got)
		}
		if again := s.wait(h); again != got {
			s.Errorf("waiting again gives %+v, was %+v", again, got)
		}
	}
}

func (s *suite) logs() {
	h := s.start(s.task("echo", "echo", "hello", "world"))
	s.wait(h)
	if got := s.read(h); got != "hello world\n" {
		s.Errorf("logs %q", got)
	}
	task := s.task("env", "env", "GREETING")
	task.Env = map[string]string{"GREETING": "a=b 'c' \"d\" $HOME"}
	h = s.start(task)
	s.wait(h)
	if got := s.read(h); got != task.Env["GREETING"]+"\n" {
		s.Errorf("environment %q", got)
	}
}

func (s *suite) followLogs() {
	h := s.start(s.task("follow", "stubborn"))
	first := make(chan struct{})
	ended := make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- s.rt.Logs(s.ctx, h, true, writerFunc(func(data []byte) (int, error) {
			if bytes.Contains(data, []byte("ready")) {
				once.Do(func() { close(first) })
			}
			return len(data), nil
		}))
	}()
	select {
	case <-first:
	case <-s.ctx.Done():
		s.Fatal("no line while the task runs")
	}
	s.must(s.rt.Stop(s.ctx, h, 0))
	s.must(<-ended)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

func (s *suite) logsBounded() {
	out := s.T.TempDir()
	s.must(os.WriteFile(filepath.Join(out, "long"), bytes.Repeat([]byte("line of output\n"), 20_000), 0o644))
	s.must(os.Chmod(out, 0o755))
	task := s.task("long", "read", "/in/long")
	task.Inputs = []executor.Mount{{Source: out, Target: "/in"}}
	task.Limits.LogBytes = 64 << 10
	h := s.start(task)
	s.wait(h)
	if n := len(s.read(h)); n > 64<<10 {
		s.Errorf("%d bytes of logs were kept; the limit is %d", n, 64<<10)
	}
}

func (s *suite) inputsAndOutputs() {
	in, out := s.T.TempDir(), s.T.TempDir()
	s.must(os.WriteFile(filepath.Join(in, "word"), []byte("from the requester"), 0o644))
	s.must(os.Chmod(in, 0o755))
	read := s.task("read", "read", "/data/word")
	read.Inputs = []executor.Mount{{Source: in, Target: "/data"}}
	h := s.start(read)
	s.wait(h)
	if got := s.read(h); got != "from the requester" {
		s.Errorf("read %q", got)
	}
	write := s.task("write", "write", "/results/model.bin", "1000")
	write.OutputDir, write.OutputTarget = out, "/results"
	if status := s.wait(s.start(write)); !status.OK() {
		s.Fatalf("writing: %+v", status)
	}
	left, err := executor.ListOutputs(out, executor.DefaultLimits().Output)
	s.must(err)
	if len(left.Files) != 1 || left.Files[0] != (executor.OutputFile{Path: "model.bin", Size: 1000}) {
		s.Errorf("outputs %+v", left)
	}
}

func (s *suite) startTwice() {
	task := s.task("once", "exit", "3")
	first := s.start(task)
	if second := s.start(task); second != first {
		s.Errorf("started again while running: %+v, was %+v", second, first)
	}
	before := s.wait(first)
	if third := s.start(task); third != first {
		s.Errorf("started again after its end: %+v, was %+v", third, first)
	}
	if after := s.wait(first); after != before {
		s.Errorf("the task ran again: %+v, was %+v", after, before)
	}
	s.expectList(s.owner, "once")
}

func (s *suite) startTogether() {
	task := s.task("together", "sleep", "1h")
	handles := make([]executor.Handle, 4)
	errs := make([]error, len(handles))
	var all sync.WaitGroup
	for i := range handles {
		rt := s.open()
		all.Go(func() { handles[i], errs[i] = rt.Start(s.ctx, task) })
	}
	all.Wait()
	for i, h := range handles {
		s.must(errs[i])
		if h != handles[0] {
			s.Errorf("two tasks: %+v and %+v", h, handles[0])
		}
	}
	s.expectList(s.owner, "together")
}

func (s *suite) conflict() {
	s.start(s.task("same", "exit", "0"))
	_, err := s.rt.Start(s.ctx, s.task("same", "exit", "1"))
	s.is(err, executor.ErrTaskConflict)
}

func (s *suite) ownersApart() {
	other := s.task("b", "exit", "0")
	other.Owner = s.owner + "-2"
	theirs := s.start(other)
	s.start(s.task("b", "exit", "1"))
	s.start(s.task("a", "exit", "0"))
	s.expectList(s.owner, "a", "b")
	s.expectList(other.Owner, "b")
	s.expectList("nobody")
	stolen := theirs
	stolen.Owner = s.owner
	s.is(s.rt.Remove(s.ctx, stolen), executor.ErrBadHandle)
	s.is(s.rt.Stop(s.ctx, stolen, 0), executor.ErrBadHandle)
	s.expectList(other.Owner, "b")
}

func (s *suite) restart() {
	task := s.task("long", "sleep", "1h")
	h := s.reload(s.start(task))
	s.rt = s.open()
	status, err := s.rt.Status(s.ctx, h)
	s.must(err)
	if status.State != executor.StateRunning || status.Reason != executor.ReasonNone {
		s.Errorf("after a restart: %+v", status)
	}
	if again := s.start(task); again != h {
		s.Errorf("start after a restart: %+v, was %+v", again, h)
	}
	s.expectList(s.owner, "long")
	s.must(s.rt.Stop(s.ctx, h, time.Minute))
	s.rt = s.open()
	if status := s.wait(h); status.Reason != executor.ReasonKilled {
		s.Errorf("end seen after a restart: %+v", status)
	}
}

func (s *suite) stopAsks() {
	h := s.start(s.task("polite", "sleep", "1h"))
	s.must(s.rt.Stop(s.ctx, h, time.Minute))
	if status := s.wait(h); status.ExitCode != 143 || status.Reason != executor.ReasonKilled {
		s.Errorf("asked to stop: %+v", status)
	}
	s.must(s.rt.Stop(s.ctx, h, time.Minute))
}

func (s *suite) stopForces() {
	h := s.start(s.task("stubborn", "stubborn"))
	s.until("the task ignores signals", func() bool { return strings.Contains(s.read(h), "ready") })
	s.must(s.rt.Stop(s.ctx, h, time.Second))
	if status := s.wait(h); status.ExitCode != 137 || status.Reason != executor.ReasonKilled {
		s.Errorf("forced to stop: %+v", status)
	}
}

func (s *suite) removeRunning() {
	h := s.start(s.task("gone", "sleep", "1h"))
	s.must(s.rt.Remove(s.ctx, h))
	s.must(s.rt.Remove(s.ctx, h))
	s.expectList(s.owner)
	_, err := s.rt.Status(s.ctx, h)
	s.is(err, executor.ErrNotFound)
	_, err = s.rt.Wait(s.ctx, h)
	s.is(err, executor.ErrNotFound)
	s.is(s.rt.Stop(s.ctx, h, 0), executor.ErrNotFound)
	s.is(s.rt.Logs(s.ctx, h, false, new(bytes.Buffer)), executor.ErrNotFound)
}

func (s *suite) timeout() {
	task := s.task("late", "stubborn")
	task.Timeout = time.Second
	h := s.start(task)
	status := s.wait(h)
	if status.Reason != executor.ReasonTimeout || status.OK() {
		s.Errorf("past its timeout: %+v", status)
	}
	s.rt = s.open()
	if again := s.wait(h); again.Reason != executor.ReasonTimeout {
		s.Errorf("after a restart the reason is %q", again.Reason)
	}
}

func (s *suite) timeoutOnList() {
	task := s.task("late", "stubborn")
	task.Timeout = time.Millisecond
	s.endsOnList(s.start(task), executor.ReasonTimeout)
}

// endsOnList wants a task to be ended by whoever comes back and lists it.
func (s *suite) endsOnList(h executor.Handle, why executor.Reason) {
	s.rt = s.open()
	s.until("listing ends the task", func() bool {
		s.expectList(s.owner, h.TaskID)
		status, err := s.rt.Status(s.ctx, h)
		s.must(err)
		return status.State == executor.StateExited && status.Reason == why
	})
}

func (s *suite) waitContext() {
	h := s.start(s.task("patient", "sleep", "1h"))
	ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := s.rt.Wait(ctx, h); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("wait ended with %v", err)
	}
	status, err := s.rt.Status(s.ctx, h)
	s.must(err)
	if status.State != executor.StateRunning {
		s.Errorf("the task ended with the waiting: %+v", status)
	}
}

func (s *suite) outputLimit() {
	for id, limits := range map[string]executor.OutputLimits{
		"bytes": {Bytes: 1 << 20, Files: 1 << 20},
		"files": {Bytes: 1 << 40, Files: 10},
	} {
		task := s.task("fill-"+id, "fill", "/out")
		task.OutputDir = s.T.TempDir()
		task.Limits.Output = limits
		if id == "files" {
			task.Limits.Output.Bytes = 64 << 20
		}
		h := s.start(task)
		if status := s.wait(h); status.Reason != executor.ReasonOutputLimit || status.OK() {
			s.Errorf("past its %s: %+v", id, status)
		}
		if _, err := executor.ListOutputs(task.OutputDir, task.Limits.Output); !errors.Is(err, executor.ErrOutputTooLarge) {
			s.Errorf("outputs past their limit are listed: %v", err)
		}
	}
}

func (s *suite) outputLimitOnList() {
	task := s.task("full", "fill", "/out")
	task.OutputDir = s.T.TempDir()
	task.Limits.Output = executor.OutputLimits{Bytes: 1 << 20, Files: 1 << 20}
	s.endsOnList(s.start(task), executor.ReasonOutputLimit)
}

func (s *suite) refusals() {
	missing := s.task("missing", "exit", "0")
	missing.Image = unknownImage()
	_, err := s.rt.Start(s.ctx, missing)
	s.is(err, executor.ErrImageMissing)
	if err != nil && !strings.Contains(err.Error(), string(missing.Image)) {
		s.Errorf("%q does not name the image", err)
	}
	bad := s.task("bad", "exit", "0")
	bad.Limits.MemoryBytes = -1
	_, err = s.rt.Start(s.ctx, bad)
	s.is(err, executor.ErrInvalidTask)
	s.expectList(s.owner)
	foreign := executor.Handle{Version: executor.HandleVersion, Runtime: "other", ID: "x", TaskID: "x", Owner: s.owner}
	_, err = s.rt.Status(s.ctx, foreign)
	s.is(err, executor.ErrBadHandle)
}
