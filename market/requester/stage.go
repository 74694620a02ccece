package requester

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tallycompute/tally/market"
)

// stage lays out the inputs as containers will see them, and packs them: one tree that all shards share, and one of
// each shard's own. Errors in what the job file names are a market.JobErrors.
func (j *job) stage(ctx context.Context) error {
	spec := j.rec.Spec
	var wrong market.JobErrors
	for i, in := range spec.Job.Inputs {
		if err := j.stageInput(spec, in); err != nil {
			wrong = append(wrong, market.JobError{Line: in.Line, Field: fmt.Sprintf("inputs[%d].path", i), Message: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	var err error
	if len(spec.Job.SharedInputs()) > 0 {
		if j.rec.Program, err = j.r.Files.Pack(ctx, j.programDir()); err != nil {
			return fmt.Errorf("pack the shared inputs: %w", err)
		}
	}
	if len(spec.Job.SplitInputs()) == 0 {
		return nil
	}
	j.rec.Inputs = make([]market.Hash, spec.Job.Shards.Count)
	for s := range j.rec.Inputs {
		if j.rec.Inputs[s], err = j.r.Files.Pack(ctx, j.inputDir(uint32(s))); err != nil {
			return fmt.Errorf("pack the inputs of shard %d: %w", s, err)
		}
	}
	return nil
}

func (j *job) programDir() string { return j.dir("inputs", "program") }

func (j *job) inputDir(shard uint32) string { return j.dir("inputs", shardName(shard)) }

// stageInput puts one input where its mount is, in one tree or in every shard's.
func (j *job) stageInput(spec JobSpec, in market.Input) error {
	src := in.Path
	if !filepath.IsAbs(src) {
		src = filepath.Join(spec.Dir, src)
	}
	mount := filepath.FromSlash(strings.TrimPrefix(in.Mount, "/"))
	if !filepath.IsLocal(mount) {
		return fmt.Errorf("mount %q leads elsewhere", in.Mount)
	}
	src, err := filepath.EvalSymlinks(src)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there, beside the job file in %s", in.Path, spec.Dir)
	}
	if err != nil {
		return err
	}
	files, single, err := listFiles(src)
	if err != nil {
		return err
	}
	if in.Split == market.SplitNone {
		return copyFiles(src, files, filepath.Join(j.programDir(), mount))
	}
	count := spec.Job.Shards.Count
	if single {
		return j.splitFile(in.Split, src, mount, count)
	}
	parts, err := market.SplitDir(in.Split, files, count)
	if err != nil {
		return err
	}
	for s, part := range parts {
		if err := copyFiles(src, part, filepath.Join(j.inputDir(uint32(s)), mount)); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) splitFile(how market.Split, src, mount string, count uint32) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	parts, err := market.SplitFile(how, data, count)
	if err != nil {
		return err
	}
	for s, part := range parts {
		dst := filepath.Join(j.inputDir(uint32(s)), mount)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(dst, part.Of(data), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// listFiles lists the files below src by slash-separated path; of a file that is the empty path alone.
func listFiles(src string) (files []string, single bool, err error) {
	info, err := os.Stat(src)
	if err != nil {
		return nil, false, err
	}
	if info.Mode().IsRegular() {
		return []string{""}, true, nil
	}
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory: links and devices cannot be sent", path)
		}
		rel, err := filepath.Rel(src, path)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no files", src)
	}
	return files, false, err
}

// copyFiles copies files, given by their paths below src, to the same places below dst.
func copyFiles(src string, files []string, dst string) error {
	for _, f := range files {
		f = filepath.FromSlash(f)
		if err := copyFile(filepath.Join(src, f), filepath.Join(dst, f)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(src, dst string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return writeFile(dst, in, info.Mode().Perm()&0o111 != 0)
}

// writeFile makes a file that appears whole or not at all.
func writeFile(dst string, from io.Reader, executable bool) (err error) {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(dst), ".writing-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = io.Copy(out, from)
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	if err = errors.Join(err, out.Chmod(mode), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), dst)
}
