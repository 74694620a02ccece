//go:build !linux

package collective

import (
	"context"
	"fmt"
	"runtime"
)

// A Gate serves one container. It needs Linux's sealed shared memory.
type Gate struct{}

// NewGate fails: only Linux can seal an arena against the container.
func NewGate(GateOptions) (*Gate, error) {
	return nil, errElsewhere()
}

// SocketPath is empty here.
func (*Gate) SocketPath() string { return "" }

// Run fails like NewGate.
func (*Gate) Run(context.Context, *Group) error {
	return errElsewhere()
}

// RunCircle fails like NewGate.
func (*Gate) RunCircle(context.Context, *Circle) error {
	return errElsewhere()
}

// Await fails like NewGate.
func (*Gate) Await(context.Context) error {
	return errElsewhere()
}

// Dismiss fails like NewGate.
func (*Gate) Dismiss(context.Context) error {
	return errElsewhere()
}

// Close does nothing.
func (*Gate) Close() error { return nil }

func errElsewhere() error {
	return fmt.Errorf("%w (%s): a container's shared arena needs Linux", ErrUnsupported, runtime.GOOS)
}
