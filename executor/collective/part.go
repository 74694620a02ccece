package collective

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxParts bounds the process groups of a group.
const maxParts = 64

// Part joins a process group: some ranks of this group, in the order given, which becomes theirs in it. All of them call
// it, and those that make several of the same ranks do so in the same order. It has streams of its own; it fails with
// this group, this group fails with it, and Close closes it.
func (g *Group) Part(ctx context.Context, ranks []int) (*Group, error) {
	v := View{Rank: -1}
	h := sha256.New()
	h.Write([]byte("tally/collective/part/1"))
	h.Write(g.view.Job[:])
	var b [8]byte
	for i, r := range ranks {
		if r < 0 || r >= g.Size() {
			return nil, fmt.Errorf("%w: rank %d of %d", ErrArgument, r, g.Size())
		}
		if r == g.Rank() {
			v.Rank = i
		}
		v.Peers = append(v.Peers, peer.AddrInfo{ID: g.view.Peers[r].ID})
		binary.LittleEndian.PutUint64(b[:], uint64(r))
		h.Write(b[:])
	}
	if v.Rank < 0 {
		return nil, fmt.Errorf("%w: rank %d is not among %v", ErrArgument, g.Rank(), ranks)
	}
	binary.LittleEndian.PutUint64(b[:], g.view.Epoch)
	h.Write(b[:])
	key := [32]byte(h.Sum(nil))
	g.mu.Lock()
	if len(g.made) >= maxParts {
		g.mu.Unlock()
		return nil, fmt.Errorf("%w: more than %d process groups", ErrArgument, maxParts)
	}
	for _, made := range g.made {
		if made == key {
			v.Epoch++ // which one of these ranks it is
		}
	}
	g.made = append(g.made, key)
	g.mu.Unlock()
	v.Job = key

	part, err := g.service.join(ctx, v, g.opts, nil, g.lines)
	if err != nil {
		err = fmt.Errorf("process group of ranks %v: %w", ranks, err)
		g.fail(err)
		return nil, err
	}
	g.mu.Lock()
	g.parts = append(g.parts, part)
	err = g.err
	g.mu.Unlock()
	if err != nil {
		part.fail(err)
		return nil, err
	}
	g.wg.Go(func() { // its failure is ours
		select {
		case <-part.done:
			err := part.Err()
			var pe *PeerError
			if errors.As(err, &pe) { // in this group's ranks
				err = &PeerError{g.view.rankOf(pe.Peer), pe.Peer, pe.Kind, pe.Text}
			}
			g.fail(fmt.Errorf("process group of ranks %v: %w", ranks, err))
		case <-g.quit:
		}
	})
	return part, nil
}
