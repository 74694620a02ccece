package attester

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// ending is how a shard ended: badly, or well with these files.
type ending struct {
	ok  bool
	dir string
}

// Rerunner runs shards again, in containers.
type Rerunner struct {
	Engine Engine
	SDK    string // directory with the Python SDK, in full
	Owner  string // of the containers
}

// Rerun is a shard that is to be run again. Directories are in full.
type Rerun struct {
	Terms          market.Terms
	Shard          market.ShardResult // what its provider says
	Program, Input string             // what it was given: what all shards share, and what is its own
	Claimed        string             // what it is said to have left
	Work           string             // for what it leaves now; its name is part of the containers'
}

// again runs a shard of a disputed lot.
func (d *Daemon) again(ctx context.Context, q *inquiry, s market.ShardResult, dir string) (right bool, why string, err error) {
	return d.rerunner().Again(ctx, Rerun{q.terms, s, programDir(dir), inputDir(dir, s.Index), claimedDir(dir, s.Index), dir})
}

func (d *Daemon) rerunner() Rerunner { return Rerunner{d.Engine, d.SDK, d.id.String()} }

// Again runs a shard once more, and a second time if it ends otherwise than its result says. It says whether the result
// can stand, and why. ErrUnable: it cannot be run to its end here.
func (r Rerunner) Again(ctx context.Context, q Rerun) (right bool, why string, err error) {
	s := q.Shard
	claimed := ending{ok: s.ExitCode == 0, dir: q.Claimed}
	if s.Output.IsZero() {
		if err := os.MkdirAll(claimed.dir, 0o755); err != nil {
			return false, "", err
		}
	}
	limits := q.Terms.OutputLimits()
	var before ending
	var first string
	for attempt := range 2 {
		e, err := r.run(ctx, q, filepath.Join(q.Work, fmt.Sprintf("out-%d-%d", s.Index, attempt)))
		if err != nil {
			return false, "", err
		}
		same, diff, err := alike(claimed, e, limits)
		if err != nil {
			return false, "", err
		}
		if same {
			return true, fmt.Sprintf("shard %d, run again, ends as its result says", s.Index), nil
		}
		if attempt == 0 {
			before, first = e, diff
			continue
		}
		again, other, err := alike(before, e, limits)
		if err != nil {
			return false, "", err
		}
		if !again {
			return true, fmt.Sprintf("shard %d ends in another way each time it is run (%s): nobody can tell what is right", s.Index, other), nil
		}
	}
	return false, fmt.Sprintf("shard %d, run again twice: %s", s.Index, first), nil
}

// run runs a shard in a container, within the limits that its provider had to keep to. ErrUnable: it did not come to
// the program's own end here.
func (r Rerunner) run(ctx context.Context, q Rerun, out string) (e ending, err error) {
	index := q.Shard.Index
	mounts, err := executor.FindMounts(q.Terms.Task.Mounts, q.Input, q.Program)
	if err != nil {
		return e, err
	}
	if has, err := r.Engine.HasImage(ctx, q.Terms.Task.Image); err != nil || !has {
		return e, errors.Join(err, fmt.Errorf("%w: image %s is not here", ErrUnable, q.Terms.Task.Image))
	}
	task, err := q.Terms.Container(index, mounts, r.SDK, out)
	if err != nil {
		return e, err
	}
	task.ID, task.Owner = fmt.Sprintf("attest-%s-%d", filepath.Base(q.Work), index), r.Owner
	if err := errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o777), os.Chmod(out, 0o777)); err != nil {
		return e, err
	}
	h, err := r.Engine.Start(ctx, task)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, r.Engine.Remove(context.WithoutCancel(ctx), h)) }()
	st, err := r.Engine.Wait(ctx, h)
	if err != nil {
		return e, err
	}
	switch st.Reason {
	case executor.ReasonExited, executor.ReasonOutOfMemory, executor.ReasonOutputLimit:
		return ending{ok: st.OK(), dir: out}, nil
	}
	return e, fmt.Errorf("%w: shard %d ended by %s", ErrUnable, index, st.Reason)
}

// metricsFile is where the SDK writes metrics, with times: it is no part of what is compared.
const metricsFile = "metrics.jsonl"

// alike compares two endings, and says in what they differ. All that failed is alike.
func alike(claimed, found ending, limits executor.OutputLimits) (same bool, diff string, err error) {
	switch {
	case !claimed.ok && !found.ok:
		return true, "", nil
	case claimed.ok != found.ok:
		return false, fmt.Sprintf("it ended well: %t instead of %t", found.ok, claimed.ok), nil
	}
	a, err := files(claimed.dir, limits)
	if err != nil {
		return false, "", err
	}
	b, err := files(found.dir, limits)
	if err != nil {
		return false, "", err
	}
	for path := range a {
		if _, ok := b[path]; !ok {
			return false, path + " is not left", nil
		}
	}
	for path, f := range b {
		other, ok := a[path]
		if !ok {
			return false, path + " is left beside", nil
		}
		equal, err := sameFile(claimed.dir, other, found.dir, f)
		if err != nil || !equal {
			return false, path + " differs", err
		}
	}
	return true, "", nil
}

// files are what counts of what a shard left.
func files(dir string, limits executor.OutputLimits) (map[string]executor.OutputFile, error) {
	left, err := executor.ListOutputs(dir, limits)
	if err != nil {
		return nil, err
	}
	all := map[string]executor.OutputFile{}
	for _, f := range left.Files {
		if f.Path != metricsFile {
			all[f.Path] = f
		}
	}
	return all, nil
}

// sameFile compares two files' bytes.
func sameFile(dirA string, a executor.OutputFile, dirB string, b executor.OutputFile) (same bool, err error) {
	if a.Size != b.Size {
		return false, nil
	}
	x, err := executor.OpenOutput(dirA, a)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	y, err := executor.OpenOutput(dirB, b)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, y.Close()) }()
	p, r := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errX := io.ReadFull(x, p)
		m, errY := io.ReadFull(y, r)
		switch {
		case !bytes.Equal(p[:n], r[:m]):
			return false, nil
		case errors.Is(errX, io.EOF) || errors.Is(errX, io.ErrUnexpectedEOF):
			return true, nil
		case errX != nil || errY != nil:
			return false, errors.Join(errX, errY)
		}
	}
}

// removeStrays deletes containers of this attester's that an earlier process left behind.
func (d *Daemon) removeStrays(ctx context.Context) error { return d.rerunner().Clear(ctx, "") }

// Clear deletes containers that an earlier process left behind, of this work directory, or of any.
func (r Rerunner) Clear(ctx context.Context, work string) error {
	all, err := r.Engine.List(ctx, r.Owner)
	if err != nil {
		return err
	}
	prefix := "attest-"
	if work != "" {
		prefix += filepath.Base(work) + "-"
	}
	for _, h := range all {
		if strings.HasPrefix(h.TaskID, prefix) {
			err = errors.Join(err, r.Engine.Remove(ctx, h))
		}
	}
	return err
}
