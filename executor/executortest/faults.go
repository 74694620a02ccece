package executortest

import (
	"fmt"

	"github.com/tallycompute/tally/executor"
)

// faults are what an [Engine] was told to do wrong.
type faults struct {
	down  bool
	start map[string]error
	hang  map[string]bool
}

func (f *faults) onStart(task executor.Task) error {
	if f.down {
		return fmt.Errorf("start task %s: %w", task.ID, executor.ErrEngineUnavailable)
	}
	if err := f.start[task.ID]; err != nil {
		return fmt.Errorf("start task %s: %w", task.ID, err)
	}
	return nil
}

// SetDown makes the engine unreachable, or reachable again. Its tasks run on meanwhile.
func (e *Engine) SetDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults.down = down
}

// FailStart makes every start of a task fail with err; nil heals it.
func (e *Engine) FailStart(taskID string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.faults.start == nil {
		e.faults.start = map[string]error{}
	}
	e.faults.start[taskID] = err
}

// Hang makes a task, started from now on, do nothing until it is killed; it ignores Stop's request.
func (e *Engine) Hang(taskID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.faults.hang == nil {
		e.faults.hang = map[string]bool{}
	}
	e.faults.hang[taskID] = true
}

// Die ends a running task with an exit code of its own. The program is killed too.
func (e *Engine) Die(owner, taskID string, code int) error {
	return e.with(owner, taskID, func(r *run) {
		r.end(code)
		r.kill()
	})
}

// OutOfMemory ends a running task as the kernel does when its memory is used up.
func (e *Engine) OutOfMemory(owner, taskID string) error {
	return e.with(owner, taskID, func(r *run) { r.endEarly(executor.ReasonOutOfMemory) })
}

// Lose makes the engine forget a task, as after a reinstall. The program is killed.
func (e *Engine) Lose(owner, taskID string) error {
	return e.with(owner, taskID, func(r *run) {
		r.kill()
		delete(e.tasks, r.handle.ID)
	})
}

func (e *Engine) with(owner, taskID string, do func(*run)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.tasks {
		if r.task.Owner == owner && r.task.ID == taskID {
			do(r)
			return nil
		}
	}
	return fmt.Errorf("%w: %s", executor.ErrNotFound, taskID)
}
