package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds waits that only a broken node exceeds.
const patience = time.Minute

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tally-devnet")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tally-devnet")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// announcement is the line a node prints when it is ready.
type announcement struct {
	Socket       string    `json:"socket"`
	Magic        uint32    `json:"magic"`
	SlotLengthMS uint64    `json:"slot_length_ms"`
	SystemStart  time.Time `json:"system_start"`
	PID          int       `json:"pid"`
	Control      string    `json:"control"`
	Producers    []struct {
		Socket, Control string
		PID             int
	} `json:"producers"`
}

// producer is the announcement of one node of two.
func (a announcement) producer(i int) announcement {
	a.Socket, a.Control, a.PID = a.Producers[i].Socket, a.Producers[i].Control, a.Producers[i].PID
	return a
}

// command posts a command to the node's control socket and returns status and answer.
func (a announcement) command(t *testing.T, path string) (status int, answer string) {
	t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.Control)
		},
	}}
	r, err := c.Post("http://devnet/"+path, "", nil)
	ok(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	ok(t, err)
	return r.StatusCode, string(b)
}

// do posts a command that must succeed, and reads what it answers.
func (a announcement) do(t *testing.T, path string) (answer struct {
	Slot    uint64
	Hash    string
	Height  uint64
	Dropped int
},
) {
	t.Helper()
	status, text := a.command(t, path)
	if status != http.StatusOK {
		t.Fatalf("%s: %d: %s", path, status, text)
	}
	ok(t, json.Unmarshal([]byte(text), &answer))
	return answer
}

// child is a running tally-devnet.
type child struct {
	announcement
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *bytes.Buffer
	exited chan error
}

// start runs the program on dir and waits for its announcement.
func start(t *testing.T, dir string, args ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(binary, append([]string{"run", "--dir", dir}, args...)...), stderr: &bytes.Buffer{}, exited: make(chan error, 1)}
	c.cmd.Stderr = c.stderr
	stdin, err := c.cmd.StdinPipe()
	ok(t, err)
	c.stdin = stdin
	r, w, err := os.Pipe()
	ok(t, err)
	c.cmd.Stdout = w
	ok(t, c.cmd.Start())
	ok(t, w.Close())
	go func() { c.exited <- c.cmd.Wait() }()
	t.Cleanup(func() { c.stop(t) })
	lines := make(chan string, 1)
	go func() {
		defer r.Close()
		out := bufio.NewReader(r)
		line, _ := out.ReadString('\n')
		lines <- line
		if rest, _ := io.ReadAll(out); len(rest) > 0 {
			t.Errorf("more on standard output than the announcement: %q", rest)
		}
	}()
	select {
	case line := <-lines:
		if err := json.Unmarshal([]byte(line), &c.announcement); err != nil {
			t.Fatalf("announcement %q: %v; standard error: %s", line, err, c.stderr)
		}
	case <-time.After(patience):
		t.Fatalf("no announcement; standard error: %s", c.stderr)
	}
	return c
}

// stop asks the child to end and checks that it did so cleanly. Stopping twice does nothing.
func (c *child) stop(t *testing.T) {
	t.Helper()
	if c.exited == nil {
		return
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
	c.wait(t)
}

// kill ends the child as a crash does.
func (c *child) kill(t *testing.T) {
	t.Helper()
	ok(t, c.cmd.Process.Kill())
	<-c.exited
	c.exited = nil
}

func (c *child) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-c.exited:
		if err != nil {
			t.Errorf("ended with %v; standard error: %s", err, c.stderr)
		}
	case <-time.After(patience):
		ok(t, c.cmd.Process.Kill())
		t.Errorf("did not end")
	}
	c.exited = nil
}

// refused runs the program to its end and returns what it said on standard error.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err == nil {
		t.Fatalf("%v: it ran", args)
	}
	if out.Len() > 0 {
		t.Errorf("%v: standard output: %s", args, &out)
	}
	if n := bytes.Count(errs.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%v: %d lines on standard error, not one sentence: %s", args, n, &errs)
	}
	return errs.String()
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
