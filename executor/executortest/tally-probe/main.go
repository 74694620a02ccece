//go:build linux

// Command tally-probe is package probe as a program of its own, with questions added that only a
// real sandbox can answer: "report" prints what the process sees as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/tallycompute/tally/executor/executortest/probe"
)

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{""}
	}
	switch args[0] {
	case "report":
		if err := json.NewEncoder(os.Stdout).Encode(report()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "allocate":
		bytes, _ := strconv.Atoi(args[1])
		allocate(bytes)
	case "threads":
		count, _ := strconv.Atoi(args[1])
		threads(count)
	case "dial":
		os.Exit(dial(args[1]))
	case "hoard":
		hoard(args[1])
	default:
		os.Exit(run(args))
	}
}

func run(args []string) int {
	term := make(chan struct{})
	process := probe.Process{
		Args: args, Getenv: os.Getenv, Output: os.Stdout,
		Path: func(p string) string { return p }, Term: term,
	}
	if slices.Contains(args, "stubborn") {
		signal.Ignore(syscall.SIGTERM)
	}
	return probe.Run(context.Background(), process)
}

// allocate touches so many bytes of memory.
func allocate(bytes int) {
	var held [][]byte
	for range bytes >> 20 {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	fmt.Println("allocated", len(held), "MiB")
}

// threads starts so many threads at once; the Go runtime ends the program when one is refused.
func threads(count int) {
	for range count {
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Minute)
		}()
	}
	time.Sleep(5 * time.Second)
	fmt.Println("started", count, "threads")
}

// hoard writes to a file that is deleted but open, so that nobody can see it in its directory.
func hoard(dir string) {
	f, err := os.Create(dir + "/hidden")
	if err == nil {
		err = os.Remove(f.Name())
	}
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
	}
	fmt.Println(err)
	os.Exit(1)
}
