package requester

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// gatherOutputs makes one of the good shards' outputs. Doing it again gives the same files.
func (j *job) gatherOutputs(ctx context.Context) error {
	var shards []market.ShardFiles
	for _, l := range j.rec.Lots {
		if !l.Good || l.StoodBy {
			continue
		}
		for _, s := range l.Shards {
			files, err := j.outputs(s)
			if err != nil {
				return fmt.Errorf("outputs of shard %d: %w", s, err)
			}
			shards = append(shards, market.ShardFiles{Index: s, Files: files})
		}
	}
	slices.SortFunc(shards, func(a, b market.ShardFiles) int { return int(a.Index) - int(b.Index) })
	if err := os.MkdirAll(j.rec.Spec.Out, 0o755); err != nil {
		return err
	}
	var at []uint32
	for _, s := range shards {
		at = append(at, s.Index)
	}
	if err := j.writeCSV(at); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, g := range market.GatherPlan(j.rec.Spec.Job.Outputs, shards) {
		dest := filepath.Join(j.rec.Spec.Out, filepath.FromSlash(g.Dest))
		if !filepath.IsLocal(filepath.FromSlash(g.Dest)) {
			return fmt.Errorf("%q leads elsewhere", g.Dest)
		}
		err := error(nil)
		if g.Gather == market.GatherReduce {
			err = j.reduce(ctx, g, at, dest)
		} else {
			err = j.join(g.Sources, dest)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", g.Dest, err)
		}
	}
	return nil
}

// outputs lists the files of a shard whose outputs are here.
func (j *job) outputs(shard uint32) (files []string, err error) {
	left, err := executor.ListOutputs(j.outputDir(shard), executor.OutputLimits{Bytes: 1 << 50, Files: 1 << 20})
	for _, f := range left.Files {
		files = append(files, f.Path)
	}
	return files, err
}

// join writes the sources, one after the other, to one file.
func (j *job) join(from []market.Source, dest string) error {
	var all []io.Reader
	var open []io.Closer
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for _, s := range from {
		in, err := openOutput(j.outputDir(s.Shard), s.Path)
		if err != nil {
			return err
		}
		all, open = append(all, in), append(open, in)
	}
	return writeFile(dest, io.MultiReader(all...), false)
}

// reduce gives the shards' outputs to the job's script and takes what it leaves.
func (j *job) reduce(ctx context.Context, g market.Gathered, shards []uint32, dest string) (err error) {
	out := j.dir("reduced")
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755)); err != nil {
		return err
	}
	r := Reduction{
		Job: j.rec.ID, Image: j.rec.Spec.Image, Script: g.Script, Program: j.programDir(), Out: out,
	}
	for _, in := range j.rec.Spec.Job.SharedInputs() {
		r.Mounts = append(r.Mounts, in.Mount)
	}
	for _, s := range shards {
		r.Shards = append(r.Shards, ShardDir{s, j.outputDir(s)})
	}
	if err := j.r.Reducer.Run(ctx, r); err != nil {
		return fmt.Errorf("%q: %w", g.Script, err)
	}
	left, err := executor.ListOutputs(out, executor.OutputLimits{Bytes: 1 << 50, Files: 1 << 20})
	if err != nil {
		return err
	}
	for _, f := range left.Files {
		in, err := executor.OpenOutput(out, f)
		if err != nil {
			return err
		}
		err = errors.Join(writeFile(filepath.Join(dest, filepath.FromSlash(f.Path)), in, false), in.Close())
		if err != nil {
			return err
		}
	}
	return nil
}
