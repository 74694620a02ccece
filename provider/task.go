package provider

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tallycompute/tally/executor"
)

// task is the container of this shard.
func (s *shard) task(mounts []executor.Mount, collective bool) (executor.Task, error) {
	task, err := s.j.terms.Container(s.index, mounts, s.j.d.SDK, s.j.outputDir(s.index))
	if err != nil {
		return executor.Task{}, err
	}
	task.ID, task.Owner, task.GPUs = s.taskID(), s.j.d.id.String(), s.j.d.gpuUUIDs()
	if collective {
		task.SocketDir = s.socketDir()
		task.Env["TALLY_SOCKET"] = executor.SocketTarget + "/agent.sock"
	}
	return task, nil
}

func (s *shard) taskID() string { return fmt.Sprintf("%s-%d", s.j.id, s.index) }

func (s *shard) socketDir() string { return filepath.Join(s.j.shardDir(s.index), "agent") }

// makeDirs makes what the container writes to.
func (s *shard) makeDirs(collective bool) error {
	if err := os.MkdirAll(s.j.outputDir(s.index), 0o777); err != nil || !collective {
		return err
	}
	return os.MkdirAll(s.socketDir(), 0o755)
}
