package executortest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/executortest"
)

const image = executor.ImageDigest("sha256:" + "1111111111111111111111111111111111111111111111111111111111111111")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newEngine(t *testing.T) *executortest.Engine {
	e := executortest.NewEngine(executortest.RunProbe, map[string]executor.ImageDigest{"probe": image})
	t.Cleanup(e.Close)
	return e
}

func TestFakeConforms(t *testing.T) {
	e := newEngine(t)
	executortest.Conformance(t, func() executor.Runtime { return e.Runtime() }, image)
}

func task(id string, command ...string) executor.Task {
	return executor.Task{
		ID: id, Owner: "p", Image: image, Command: append([]string{"probe"}, command...),
		Limits: executor.Limits{CPUs: 1, MemoryBytes: 1 << 30}, Timeout: time.Hour,
	}
}

func TestFaults(t *testing.T) {
	ctx := context.Background()
	boom := errors.New("boom")
	e := newEngine(t)
	rt := e.Runtime()
	start := func(id string) executor.Handle {
		t.Helper()
		h, err := rt.Start(ctx, task(id, "sleep", "1h"))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	wait := func(h executor.Handle) executor.Status {
		t.Helper()
		s, err := rt.Wait(ctx, h)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	e.FailStart("a", boom)
	if _, err := rt.Start(ctx, task("a")); !errors.Is(err, boom) {
		t.Errorf("failing start: %v", err)
	}
	e.FailStart("a", nil)
	h := start("a")
	if err := e.Die("p", "a", 7); err != nil {
		t.Fatal(err)
	}
	if s := wait(h); s.ExitCode != 7 || s.Reason != executor.ReasonExited {
		t.Errorf("died: %+v", s)
	}

	h = start("b")
	if err := e.OutOfMemory("p", "b"); err != nil {
		t.Fatal(err)
	}
	if s := wait(h); !s.OOMKilled || s.ExitCode != 137 || s.Reason != executor.ReasonOutOfMemory {
		t.Errorf("out of memory: %+v", s)
	}

	h = start("c")
	if err := e.Lose("p", "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Wait(ctx, h); !errors.Is(err, executor.ErrNotFound) {
		t.Errorf("lost: %v", err)
	}

	e.Hang("d")
	h = start("d")
	if err := rt.Stop(ctx, h, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s := wait(h); s.ExitCode != 137 {
		t.Errorf("hung: %+v", s)
	}

	e.SetDown(true)
	for name, err := range map[string]error{
		"start": second(rt.Start(ctx, task("e"))), "status": second(rt.Status(ctx, h)),
		"list": second(rt.List(ctx, "p")), "info": second(rt.Info(ctx)),
	} {
		if !errors.Is(err, executor.ErrEngineUnavailable) {
			t.Errorf("%s on an engine that is down: %v", name, err)
		}
	}
	e.SetDown(false)
	if list, err := rt.List(ctx, "p"); err != nil || len(list) != 3 {
		t.Errorf("after it is back: %v, %v", list, err)
	}
	if err := e.Die("p", "nobody", 1); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("fault for an unknown task: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
