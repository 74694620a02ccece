package requester

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

var errRoot = errors.New("not what was signed")

// collect gets a provider's signed result and, if every program ended well, the outputs that it names, by their hash.
func (j *job) collect(ctx context.Context, l lotRecord) ([]byte, error) {
	call, cancel := context.WithTimeout(ctx, j.r.cfg.CallTime)
	defer cancel()
	signed, err := j.r.Workers.Result(call, l.Offer.Peer, j.rec.Job)
	if err != nil {
		return nil, err
	}
	res, err := market.OpenResult(signed, j.rec.Job, j.terms, l.Offer.Peer)
	if err != nil {
		return nil, err
	}
	lot, err := j.r.Book.Lot(ctx, j.key(l))
	if err != nil {
		return nil, err
	}
	if lot.Status == escrow.Committed && market.Hash(lot.Root) != res.Root {
		return nil, fmt.Errorf("%w: root %s is on chain, the result has %s", errRoot, market.Hash(lot.Root), res.Root)
	}
	if !res.OK() {
		return signed, nil
	}
	for _, s := range res.Shards {
		if err := j.fetch(ctx, l, s); err != nil {
			return nil, fmt.Errorf("outputs of shard %d: %w", s.Index, err)
		}
	}
	return signed, nil
}

// fetch gets one shard's outputs and looks at what is on disk by hash again.
func (j *job) fetch(ctx context.Context, l lotRecord, s market.ShardResult) error {
	dir := j.outputDir(s.Index)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if s.Output.IsZero() {
		return os.MkdirAll(dir, 0o755)
	}
	if err := j.fetchFrom(ctx, l.Offer.Peer, s.Output); err != nil {
		return err
	}
	if err := j.r.Files.Unpack(ctx, s.Output, dir); err != nil {
		return err
	}
	root, err := j.r.Files.Pack(ctx, dir)
	if err == nil && root != s.Output {
		err = fmt.Errorf("%w: they hash to %s, the result says %s", errRoot, root, s.Output)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return j.keepMetrics(s.Index)
}

// fetchFrom gets a bundle from its provider, or from an attester who got it in a dispute.
func (j *job) fetchFrom(ctx context.Context, provider peer.ID, root market.Hash) error {
	err := j.r.Files.Fetch(ctx, provider, root)
	if err == nil || j.terms.Disputes == nil {
		return err
	}
	for _, a := range j.terms.Disputes.Attesters {
		if j.r.Sellers.Connect(ctx, a.Peer, a.Addrs) == nil && j.r.Files.Fetch(ctx, a.Peer, root) == nil {
			return nil
		}
	}
	return err
}

func (j *job) outputDir(shard uint32) string { return j.dir("outputs", shardName(shard)) }
