package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// inputs fetches program and inputs from the requester and unpacks them; it tries until the lot is declined or over.
// An error that is errNotOurs says that it is too late to decline, and nothing came.
func (j *job) inputs(ctx context.Context, r record) error {
	if !r.InputsReady {
		if err := j.phase(ctx, market.PhaseFetching, ""); err != nil {
			return err
		}
	}
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := j.fetch(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		j.d.Log.Warn("provider: inputs have not arrived, trying again", "job", j.id, "error", err)
		if err := j.d.store.setPhase(ctx, j.id, market.PhaseFetching, safe(err.Error())); err != nil {
			return err
		}
		if late, lErr := j.late(ctx); lErr != nil || late {
			return errors.Join(lErr, fmt.Errorf("%w: the inputs never arrived: %w", errNotOurs, err))
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	j.grantInputs()
	if r.InputsReady {
		return nil
	}
	return j.d.store.setInputsReady(ctx, j.id)
}

// late says whether a result is due now, if the provider is to commit one at all.
func (j *job) late(ctx context.Context) (bool, error) {
	now, err := j.d.now(ctx)
	return now >= j.terms.CommitBy-chain.Time(j.d.cfg.Policy.CommitLead), err
}

// fetch brings everything here that a start needs; what is here already is left alone, for a container may use it.
func (j *job) fetch(ctx context.Context) error {
	if err := j.unpack(ctx, j.terms.Program, j.programDir()); err != nil {
		return err
	}
	for _, s := range j.lot.Shards {
		if err := j.unpack(ctx, s.Input, j.inputDir(s.Index)); err != nil {
			return err
		}
		if _, err := j.mounts(s.Index); err != nil {
			return err
		}
	}
	has, err := j.d.Engine.HasImage(ctx, executor.ImageDigest(j.terms.Task.Image))
	if err == nil && !has {
		err = fmt.Errorf("%w: image %s is gone from this machine", ErrInputs, j.terms.Task.Image)
	}
	return err
}

// unpack makes dir from a bundle. It is there in whole or not at all.
func (j *job) unpack(ctx context.Context, root market.Hash, dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	part := dir + ".part"
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o700), os.RemoveAll(part)); err != nil {
		return fmt.Errorf("%w: %w", ErrInputs, err)
	}
	if root.IsZero() {
		return os.Mkdir(dir, 0o755)
	}
	if err := j.d.Files.Fetch(ctx, j.res.Requester, root); err != nil {
		return fmt.Errorf("%w: bundle %s: %w", ErrInputs, root, err)
	}
	if err := j.d.Files.Unpack(ctx, root, part); err != nil {
		return fmt.Errorf("%w: bundle %s: %w", ErrInputs, root, err)
	}
	return os.Rename(part, dir)
}

func (j *job) programDir() string { return filepath.Join(j.d.jobDir(j.id), "program") }

func (j *job) inputDir(index uint32) string { return filepath.Join(j.shardDir(index), "in") }

func (j *job) outputDir(index uint32) string { return filepath.Join(j.shardDir(index), "out") }

func (j *job) shardDir(index uint32) string {
	return filepath.Join(j.d.jobDir(j.id), "shard-"+strconv.Itoa(int(index)))
}

// mounts finds each of the task's mounts in the shard's own tree or in the shared one.
func (j *job) mounts(index uint32) ([]executor.Mount, error) {
	found, err := executor.FindMounts(j.terms.Task.Mounts, j.inputDir(index), j.programDir())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInputs, err)
	}
	return found, nil
}

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
