package attester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// errWithheld is evidence that whoever should serve it does not.
var errWithheld = errors.New("cannot be had")

// judge says whether a lot's result is right, and why. An error is this machine's.
func (d *Daemon) judge(ctx context.Context, q *inquiry) (right bool, why string, err error) {
	dir := filepath.Join(d.Dir, q.lot.Key.Job.String()+"-"+q.lot.Key.Provider.String())
	if err := os.RemoveAll(dir); err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d.says(q, "it fetches the provider's result and outputs")
	res, err := d.evidence(ctx, q, dir)
	if errors.Is(err, errWithheld) {
		return false, err.Error(), nil
	} else if err != nil {
		return false, "", err
	}
	d.says(q, "it fetches program and inputs")
	if err := d.inputs(ctx, q, dir); errors.Is(err, errWithheld) {
		return true, err.Error(), nil
	} else if err != nil {
		return false, "", err
	}
	for _, s := range res.Shards {
		d.says(q, fmt.Sprintf("it runs shard %d again", s.Index))
		right, why, err = d.again(ctx, q, s, dir)
		if err != nil || !right {
			return right, why, err
		}
	}
	return true, why, nil
}

// evidence is what the provider has to hand over: the result that it committed, and the outputs which that names.
func (d *Daemon) evidence(ctx context.Context, q *inquiry, dir string) (res market.Result, err error) {
	lot, _ := q.terms.LotOf(q.of)
	err = d.insist(ctx, q, func() error {
		signed := d.given(q)
		if res, err = d.committed(q, signed); err == nil {
			return nil
		}
		if err := d.Peers.Connect(ctx, q.of, lot.Addrs); err != nil {
			return err
		}
		if signed, err = d.Peers.Result(ctx, q.of, market.JobID(q.lot.Key.Job)); err != nil {
			return err
		}
		res, err = d.committed(q, signed)
		return err
	})
	if err != nil {
		return res, fmt.Errorf("the result that was committed: %w", err)
	}
	for _, s := range res.Shards {
		if s.Output.IsZero() {
			continue
		}
		if err := d.fetch(ctx, q, s.Output, claimedDir(dir, s.Index), uint64(q.terms.OutputLimits().Bytes), q.of); err != nil {
			return res, fmt.Errorf("the outputs of shard %d: %w", s.Index, err)
		}
		// The provider may have kept them from its requester, but not from everybody.
		if err := d.hold(ctx, holding{q.lot.Key, s.Output, q.terms.Requester, q.lot.Deadline}); err != nil {
			return res, err
		}
	}
	return res, nil
}

// committed reads a signed result if it is the one whose root is on chain.
func (d *Daemon) committed(q *inquiry, signed []byte) (market.Result, error) {
	res, err := market.OpenResult(signed, market.JobID(q.lot.Key.Job), q.terms, q.of)
	if err == nil && res.Root != market.Hash(q.lot.Root) {
		err = fmt.Errorf("root %s is on chain, the result has %s", market.Hash(q.lot.Root), res.Root)
	}
	return res, err
}

// inputs fetches what the shards got. The requester should serve it, and the provider may.
func (d *Daemon) inputs(ctx context.Context, q *inquiry, dir string) error {
	if err := d.fetch(ctx, q, q.terms.Program, programDir(dir), maxInput, q.terms.Requester, q.of); err != nil {
		return fmt.Errorf("the program: %w", err)
	}
	lot, _ := q.terms.LotOf(q.of)
	for _, s := range lot.Shards {
		if err := d.fetch(ctx, q, s.Input, inputDir(dir, s.Index), maxInput, q.terms.Requester, q.of); err != nil {
			return fmt.Errorf("the inputs of shard %d: %w", s.Index, err)
		}
		if _, err := executor.FindMounts(q.terms.Task.Mounts, inputDir(dir, s.Index), programDir(dir)); err != nil {
			return fmt.Errorf("%w: the inputs of shard %d: %w", errWithheld, s.Index, err)
		}
	}
	return nil
}

// maxInput is how many bytes the program, or the inputs of a shard, may have: an attester does not take more.
const maxInput = 8 << 30

// fetch makes dir from a bundle that one of these peers has. errWithheld: none hands it over in time, or it is larger
// than it may be.
func (d *Daemon) fetch(ctx context.Context, q *inquiry, root market.Hash, dir string, most uint64, from ...peer.ID) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if root.IsZero() {
		return os.Mkdir(dir, 0o755)
	}
	err := d.insist(ctx, q, func() (err error) {
		for _, id := range from {
			e := d.Files.FetchWithin(ctx, id, root, most)
			if e == nil {
				return nil
			}
			err = errors.Join(err, fmt.Errorf("%s: %w", id, e))
			if lot, ok := q.terms.LotOf(id); ok {
				if e := d.Peers.Connect(ctx, id, lot.Addrs); e == nil {
					err = d.Files.FetchWithin(ctx, id, root, most)
				}
			}
			if err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.Files.Unpack(ctx, root, dir)
}

// insist tries until it succeeds, ctx ends, or evidence had time enough to arrive: then the error is errWithheld.
func (d *Daemon) insist(ctx context.Context, q *inquiry, try func() error) error {
	for {
		err := try()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		d.Log.Debug("attester: evidence has not arrived", "lot", q.lot.Key, "error", err)
		now, timeErr := d.now(ctx)
		if timeErr != nil {
			return timeErr
		}
		var here *fs.PathError
		if errors.As(err, &here) || errors.Is(err, syscall.ENOSPC) {
			return err // this machine's fault, and nobody's who should serve it
		}
		if now >= q.until {
			return fmt.Errorf("%w: %w", errWithheld, err)
		}
		if err := sleep(ctx, d.Pause); err != nil {
			return err
		}
	}
}

func programDir(dir string) string { return filepath.Join(dir, "program") }

func inputDir(dir string, shard uint32) string { return filepath.Join(dir, "in", name(shard)) }

func claimedDir(dir string, shard uint32) string { return filepath.Join(dir, "claimed", name(shard)) }

func name(shard uint32) string { return strconv.FormatUint(uint64(shard), 10) }

// safe makes one line of text that a message may carry.
func safe(s string) string { return market.Line(s, 1000) }
