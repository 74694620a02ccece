package executor

import "errors"

// Every error of this package and of a [Runtime] wraps one of these kinds, or a context's error.
var (
	// ErrEngineUnavailable: no container engine answers. The message says what to type.
	ErrEngineUnavailable = errors.New("container engine unavailable")
	// ErrNotIsolated: the engine cannot enforce an isolation this package requires.
	ErrNotIsolated = errors.New("engine cannot isolate tasks")
	// ErrImageMissing: the image named by its digest is not on the engine.
	ErrImageMissing = errors.New("image not on this engine")
	// ErrInvalidTask: the task itself is wrong; trying again cannot help.
	ErrInvalidTask = errors.New("invalid task")
	// ErrTaskConflict: another task was already started under this owner and ID.
	ErrTaskConflict = errors.New("task ID already used for another task")
	// ErrNotStarted: the task is known but was never started; call Start again.
	ErrNotStarted = errors.New("task not started")
	// ErrNotFound: no such task on this engine: removed, or lost with the engine's state.
	ErrNotFound = errors.New("task not found")
	// ErrBadHandle: the handle is of another runtime, another version, or not this owner's.
	ErrBadHandle = errors.New("bad handle")
	// ErrHostFull: the host has too little free disk to promise a task its output.
	ErrHostFull = errors.New("not enough free disk")
	// ErrOutputTooLarge: a task left more bytes or files than it was allowed.
	ErrOutputTooLarge = errors.New("output too large")
	// ErrUnsafeOutput: the named output is not a plain file inside the output directory.
	ErrUnsafeOutput = errors.New("unsafe output")
)
