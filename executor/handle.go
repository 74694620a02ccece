package executor

import (
	"encoding/json"
	"fmt"
)

// HandleVersion is the version of [Handle] that this package writes.
//
//	1: first
const HandleVersion = 1

// Handle finds a task again, in this process or the next. It is small, holds no secret, and is
// stored as JSON before anything else is done with the task.
type Handle struct {
	Version int    `json:"version"`
	Runtime string `json:"runtime"` // which kind of Runtime made it
	ID      string `json:"id"`      // the engine's own name for the task
	TaskID  string `json:"task_id"`
	Owner   string `json:"owner"`
}

const maxHandleBytes = 4 << 10

// ParseHandle reads a stored handle. Every error is an [ErrBadHandle].
func ParseHandle(data []byte) (Handle, error) {
	var h Handle
	if len(data) > maxHandleBytes {
		return h, fmt.Errorf("%w: %d bytes long", ErrBadHandle, len(data))
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return Handle{}, fmt.Errorf("%w: %w", ErrBadHandle, err)
	}
	if err := h.Check(h.Runtime); err != nil {
		return Handle{}, err
	}
	return h, nil
}

// Check reports whether a Runtime of the given kind can use h.
func (h Handle) Check(runtime string) error {
	switch {
	case h.Version != HandleVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrBadHandle, h.Version, HandleVersion)
	case h.Runtime == "" || h.Runtime != runtime:
		return fmt.Errorf("%w: made by runtime %q, not %q", ErrBadHandle, h.Runtime, runtime)
	case h.ID == "" || !idPattern.MatchString(h.TaskID) || !idPattern.MatchString(h.Owner):
		return fmt.Errorf("%w: incomplete", ErrBadHandle)
	}
	return nil
}
