// Package probe is the program that the conformance suite runs as a task. As package tally-probe
// it is a static binary in an image; the fake engine calls it as a function.
package probe

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is what a running program has been given.
type Process struct {
	Args   []string            // without the program's name
	Getenv func(string) string // environment
	Output io.Writer           // standard output and error
	Path   func(string) string // where a path of the container lies for this process
	Term   <-chan struct{}     // closed on SIGTERM
}

// Usage is what the program answers when it is called wrongly.
const Usage = "usage: probe exit N | echo WORD… | env NAME | read PATH | write PATH BYTES | fill DIR | sleep DURATION | stubborn"

// Run does what the arguments say and returns the exit code. Ending ctx kills it.
func Run(ctx context.Context, p Process) int {
	if len(p.Args) == 0 {
		fmt.Fprintln(p.Output, Usage)
		return 2
	}
	rest := append(p.Args[1:len(p.Args):len(p.Args)], "", "")
	var err error
	switch p.Args[0] {
	case "exit":
		var code int
		if code, err = strconv.Atoi(rest[0]); err == nil {
			return code
		}
	case "echo":
		_, err = fmt.Fprintln(p.Output, strings.Join(p.Args[1:], " "))
	case "env":
		_, err = fmt.Fprintln(p.Output, p.Getenv(rest[0]))
	case "read":
		var data []byte
		if data, err = os.ReadFile(p.Path(rest[0])); err == nil {
			_, err = p.Output.Write(data)
		}
	case "write":
		var size int
		if size, err = strconv.Atoi(rest[1]); err == nil {
			err = os.WriteFile(p.Path(rest[0]), make([]byte, size), 0o644)
		}
	case "fill":
		err = fill(ctx, p.Path(rest[0]))
	case "sleep":
		var d time.Duration
		if d, err = time.ParseDuration(rest[0]); err == nil {
			return sleep(ctx, p.Term, d)
		}
	case "stubborn":
		_, _ = fmt.Fprintln(p.Output, "ready")
		return sleep(ctx, nil, time.Hour)
	default:
		fmt.Fprintln(p.Output, Usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(p.Output, err)
		return 1
	}
	return 0
}

// sleep ends like a process that leaves the signal's default action in place.
func sleep(ctx context.Context, term <-chan struct{}, d time.Duration) int {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0
	case <-term:
		return 143
	case <-ctx.Done():
		return 137
	}
}

// fill writes files of 64 KiB until it is stopped.
func fill(ctx context.Context, dir string) error {
	block := make([]byte, 64<<10)
	for i := 0; ctx.Err() == nil; i++ {
		if err := os.WriteFile(filepath.Join(dir, "f"+strconv.Itoa(i)), block, 0o644); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}
