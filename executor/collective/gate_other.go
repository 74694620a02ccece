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
	return nil, fmt.Errorf("%w (%s): a container's shared arena needs Linux", ErrUnsupported, runtime.GOOS)
}

// SocketPath is empty here.
func (*Gate) SocketPath() string { return "" }

// Run fails like NewGate.
func (*Gate) Run(context.Context, *Group) error {
	return fmt.Errorf("%w (%s): a container's shared arena needs Linux", ErrUnsupported, runtime.GOOS)
}

// RunCircle fails like NewGate.
func (*Gate) RunCircle(context.Context, *Circle) error {
	return fmt.Errorf("%w (%s): a container's shared arena needs Linux", ErrUnsupported, runtime.GOOS)
}

// Close does nothing.
func (*Gate) Close() error { return nil }
