package container_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/executortest"
)

// A container somebody runs from an image that carries our labels is not one of ours.
func TestForeignContainerWithOurLabels(t *testing.T) {
	ctx := context.Background()
	owner := "foreign-" + rand.Text()
	cli, err := container.Dial("")
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	made, err := cli.ContainerCreate(ctx, &dockercontainer.Config{
		Image: string(probeImage(t)), Entrypoint: []string{executortest.ProbeCommand},
		Labels: map[string]string{"tally.owner": owner, "tally.task": "bait", "tally.timeout-ms": "0"},
	}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer cli.ContainerRemove(ctx, made.ID, dockercontainer.RemoveOptions{Force: true})
	rt := open(t, container.Config{})
	if list, err := rt.List(ctx, owner); err != nil || len(list) != 0 {
		t.Errorf("listed %v, %v", list, err)
	}
	h := executor.Handle{Version: 1, Runtime: container.Kind, ID: made.ID, TaskID: "bait", Owner: owner}
	if err := rt.Remove(ctx, h); !errors.Is(err, executor.ErrBadHandle) {
		t.Errorf("removing it: %v", err)
	}
}

// A crash after the engine made the container and before it started it.
func TestCreatedButNeverStarted(t *testing.T) {
	ctx := context.Background()
	rt := open(t, container.Config{})
	task := executor.Task{
		ID: "half", Owner: "recovery-" + rand.Text(), Image: probeImage(t),
		Command: []string{executortest.ProbeCommand, "exit", "5"},
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 128 << 20}, Timeout: time.Minute,
	}
	if err := container.Create(ctx, rt, task); err != nil {
		t.Fatal(err)
	}
	list, err := rt.List(ctx, task.Owner)
	if err != nil || len(list) != 1 {
		t.Fatalf("listed %v, %v", list, err)
	}
	defer rt.Remove(ctx, list[0])
	if s, err := rt.Wait(ctx, list[0]); !errors.Is(err, executor.ErrNotStarted) || s.State != executor.StateCreated {
		t.Errorf("waiting: %+v, %v", s, err)
	}
	h, err := rt.Start(ctx, task)
	if err != nil || h != list[0] {
		t.Fatalf("started %+v, %v; listed %+v", h, err, list[0])
	}
	if s, err := rt.Wait(ctx, h); err != nil || s.ExitCode != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestProgramThatDoesNotExist(t *testing.T) {
	status, logs := trial(t, container.Config{}, probeImage(t), func(task *executor.Task) { task.Command = []string{"/no/such/program"} })
	if status.OK() || status.ExitCode != 127 {
		t.Errorf("%+v %s", status, logs)
	}
}

// An engine that stops answering while a task is waited for does not end the task.
func TestEngineHangsUp(t *testing.T) {
	ctx := context.Background()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	hangUp := relay(t, socket)
	rt, err := container.New(container.Config{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	h, err := rt.Start(ctx, executor.Task{
		ID: "on", Owner: "recovery-" + rand.Text(), Image: probeImage(t),
		Command: []string{executortest.ProbeCommand, "sleep", "1h"},
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 128 << 20}, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	direct := open(t, container.Config{})
	defer direct.Remove(ctx, h)
	waited := make(chan error, 1)
	go func() {
		_, err := rt.Wait(ctx, h)
		waited <- err
	}()
	time.Sleep(200 * time.Millisecond) // lets the request reach the engine; right either way
	hangUp()
	if err := <-waited; !errors.Is(err, executor.ErrEngineUnavailable) {
		t.Errorf("waiting ended with %v", err)
	}
	if s, err := direct.Status(ctx, h); err != nil || s.State != executor.StateRunning {
		t.Errorf("the task: %+v, %v", s, err)
	}
}

// relay passes connections on to the engine until the returned function cuts them all.
func relay(t *testing.T, socket string) (cut func()) {
	t.Helper()
	cli, err := container.Dial("")
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(cli.DaemonHost(), "unix://")
	cli.Close()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", host)
			if err != nil {
				in.Close()
				return
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			all.Go(func() { io.Copy(out, in); out.Close() })
			all.Go(func() { io.Copy(in, out); in.Close() })
		}
	})
	cut = func() {
		listener.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	}
	t.Cleanup(cut)
	return cut
}
