package executortest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/executor"
)

// patience ends a test that would otherwise hang; no case comes near it.
const patience = 2 * time.Minute

// Conformance tests a runtime. Each call of open returns a new value that talks to the same engine,
// as a restarted provider would. image holds tally-probe at [ProbeCommand].
func Conformance(t *testing.T, open func() executor.Runtime, image executor.ImageDigest) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"ExitCodes", (*suite).exitCodes},
		{"LogsAndEnvironment", (*suite).logs},
		{"FollowLogs", (*suite).followLogs},
		{"LogsAreBounded", (*suite).logsBounded},
		{"InputsAndOutputs", (*suite).inputsAndOutputs},
		{"StartTwiceIsOneTask", (*suite).startTwice},
		{"StartTogetherIsOneTask", (*suite).startTogether},
		{"AnotherTaskUnderOneID", (*suite).conflict},
		{"OwnersApart", (*suite).ownersApart},
		{"Restart", (*suite).restart},
		{"StopAsks", (*suite).stopAsks},
		{"StopForces", (*suite).stopForces},
		{"RemoveRunning", (*suite).removeRunning},
		{"Timeout", (*suite).timeout},
		{"TimeoutWhileNobodyWaited", (*suite).timeoutOnList},
		{"WaitEndsWithContext", (*suite).waitContext},
		{"OutputLimit", (*suite).outputLimit},
		{"OutputLimitWhileNobodyWaited", (*suite).outputLimitOnList},
		{"Refusals", (*suite).refusals},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(newSuite(t, open, image)) })
	}
}

// suite is one case's runtime and an owner of its own.
type suite struct {
	*testing.T
	ctx   context.Context
	open  func() executor.Runtime
	rt    executor.Runtime
	image executor.ImageDigest
	owner string
}

func newSuite(t *testing.T, open func() executor.Runtime, image executor.ImageDigest) *suite {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s := &suite{T: t, ctx: ctx, open: open, rt: open(), image: image, owner: "conformance-" + rand.Text()}
	t.Cleanup(func() {
		defer cancel()
		for _, owner := range []string{s.owner, s.owner + "-2"} {
			list, err := s.rt.List(ctx, owner)
			s.must(err)
			for _, h := range list {
				s.must(s.rt.Remove(ctx, h))
			}
		}
	})
	return s
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) is(err, kind error) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("error %v; want %v", err, kind)
	}
}

// task asks the probe to do something.
func (s *suite) task(id string, command ...string) executor.Task {
	return executor.Task{
		ID: id, Owner: s.owner, Image: s.image,
		Command: append([]string{ProbeCommand}, command...),
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 128 << 20},
		Timeout: patience,
	}
}

func (s *suite) start(t executor.Task) executor.Handle {
	s.Helper()
	h, err := s.rt.Start(s.ctx, t)
	s.must(err)
	if h.TaskID != t.ID || h.Owner != t.Owner || h.Version != executor.HandleVersion {
		s.Fatalf("handle %+v does not name task %s of %s", h, t.ID, t.Owner)
	}
	return h
}

func (s *suite) wait(h executor.Handle) executor.Status {
	s.Helper()
	status, err := s.rt.Wait(s.ctx, h)
	s.must(err)
	if status.State != executor.StateExited || status.Started.IsZero() || status.Finished.Before(status.Started) {
		s.Fatalf("after waiting, status is %+v", status)
	}
	return status
}

func (s *suite) read(h executor.Handle) string {
	s.Helper()
	var b bytes.Buffer
	s.must(s.rt.Logs(s.ctx, h, false, &b))
	return b.String()
}

// until tries something again until it is true; the test's patience bounds it.
func (s *suite) until(what string, ready func() bool) {
	s.Helper()
	for !ready() {
		select {
		case <-s.ctx.Done():
			s.Fatalf("gave up waiting until %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *suite) list(owner string) []string {
	s.Helper()
	handles, err := s.rt.List(s.ctx, owner)
	s.must(err)
	var ids []string
	for _, h := range handles {
		ids = append(ids, h.TaskID)
	}
	return ids
}

func (s *suite) expectList(owner string, want ...string) {
	s.Helper()
	if got := s.list(owner); !slices.Equal(got, want) {
		s.Errorf("list of %s is %v; want %v", owner, got, want)
	}
}

// reload passes a handle through its stored form.
func (s *suite) reload(h executor.Handle) executor.Handle {
	s.Helper()
	data, err := json.Marshal(h)
	s.must(err)
	again, err := executor.ParseHandle(data)
	s.must(err)
	return again
}

func unknownImage() executor.ImageDigest {
	return executor.ImageDigest("sha256:" + strings.Repeat("00", 32))
}
