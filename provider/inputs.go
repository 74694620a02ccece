package provider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// inputs fetches program and inputs from the requester and unpacks them; it tries until the lot is declined or over.
func (j *job) inputs(ctx context.Context) error {
	r, ok, err := j.d.store.job(ctx, j.id)
	if err != nil || !ok {
		return fmt.Errorf("%w: job %s: %w", ErrStore, j.id, err)
	}
	if err := os.MkdirAll(j.d.jobDir(j.id), 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrInputs, err)
	}
	if err := j.phase(ctx, market.PhaseFetching, ""); err != nil {
		return err
	}
	wait := 200 * time.Millisecond
	for {
		err := j.fetch(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		j.d.Log.Warn("provider: inputs have not arrived, trying again", "job", j.id, "error", err)
		if err := j.d.store.setPhase(ctx, j.id, market.PhaseFetching, clip(err.Error())); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
	if r.InputsReady {
		return nil
	}
	return j.d.store.setInputsReady(ctx, j.id)
}

func (j *job) fetch(ctx context.Context) error {
	get := func(root market.Hash, dir string) error {
		if root.IsZero() {
			return os.MkdirAll(dir, 0o755)
		}
		if err := j.d.Files.Fetch(ctx, j.requester.Requester, root); err != nil {
			return fmt.Errorf("%w: bundle %s: %w", ErrInputs, root, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		return j.d.Files.Unpack(ctx, root, dir)
	}
	if err := get(j.terms.Program, j.programDir()); err != nil {
		return err
	}
	for _, s := range j.lot.Shards {
		if err := get(s.Input, filepath.Join(j.shardDir(s.Index), "in")); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) programDir() string { return filepath.Join(j.d.jobDir(j.id), "program") }

func (j *job) shardDir(index uint32) string {
	return filepath.Join(j.d.jobDir(j.id), "shard-"+strconv.Itoa(int(index)))
}

// mounts finds each of the task's mounts in the shard's own tree or in the shared one. Both trees hold plain files and
// directories only, so no path leads out of them.
func (j *job) mounts(index uint32) ([]executor.Mount, error) {
	var found []executor.Mount
	for _, target := range j.terms.Task.Mounts {
		rel := filepath.FromSlash(strings.TrimPrefix(target, "/"))
		if !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%w: mount %q", ErrInputs, target)
		}
		source := ""
		for _, tree := range []string{filepath.Join(j.shardDir(index), "in"), j.programDir()} {
			if _, err := os.Lstat(filepath.Join(tree, rel)); err == nil {
				source = filepath.Join(tree, rel)
				break
			}
		}
		if source == "" {
			return nil, fmt.Errorf("%w: nothing was sent for mount %s", ErrInputs, target)
		}
		found = append(found, executor.Mount{Source: source, Target: target})
	}
	return found, nil
}

// clip shortens text that others get to see.
func clip(s string) string {
	if len(s) > market.MaxMessage {
		return s[len(s)-market.MaxMessage:]
	}
	return s
}
