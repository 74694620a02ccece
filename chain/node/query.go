package node

import (
	"context"
	"fmt"

	"github.com/tallycompute/tally/chain"
)

// view runs f on one state of the ledger, that of the tip: what f asks is consistent.
func (n *Node) view(ctx context.Context, what string, f func(q *asker, tip chain.Point) error) error {
	return n.exchange(ctx, what, true, func(s *session) error {
		if s.query == nil {
			return fmt.Errorf("the node answers no state queries: %w", ErrUnexpected)
		}
		if err := s.query.acquire(); err != nil {
			return err
		}
		var tip chain.Point
		err := s.query.ask(queryPoint, func(raw []byte) (err error) { tip, err = readPoint(raw); return err })
		if err != nil {
			return err
		}
		if err := f(s.query, tip); err != nil {
			return err
		}
		return s.query.release()
	})
}

// Params are the protocol parameters in force at the tip. The node must be in the Conway era.
func (n *Node) Params(ctx context.Context) (p chain.Params, err error) {
	err = n.view(ctx, "asking for protocol parameters", func(q *asker, _ chain.Point) error {
		p, err = params(q)
		return err
	})
	return p, err
}

func params(q *asker) (p chain.Params, err error) {
	err = q.ask(queryParams, func(raw []byte) (err error) { p, err = readParams(raw); return err })
	return p, err
}

// Clock is the network's start and eras, with the horizon the node has at its tip.
func (n *Node) Clock(ctx context.Context) (c chain.Clock, err error) {
	err = n.view(ctx, "asking for the clock", func(q *asker, _ chain.Point) error {
		c, err = clock(q)
		return err
	})
	return c, err
}

func clock(q *asker) (c chain.Clock, err error) {
	err = q.ask(querySystemStart, func(raw []byte) (err error) { c.SystemStart, err = systemStart(raw); return err })
	if err != nil {
		return c, err
	}
	err = q.ask(queryEras, func(raw []byte) (err error) { c.Eras, c.Horizon, err = eraHistory(raw); return err })
	if err != nil {
		return c, err
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return c, nil
}

// Tip is the last block of the node's chain; the zero Point before the first.
func (n *Node) Tip(ctx context.Context) (p chain.Point, err error) {
	err = n.view(ctx, "asking for the tip", func(_ *asker, tip chain.Point) error {
		p = tip
		return nil
	})
	return p, err
}

// UTxOs are the unspent outputs of one address at the node's tip, in no order. An output whose form Tally does not
// read (see chain.OutputFrom) is left out. For start-up: coins to spend come from the index.
func (n *Node) UTxOs(ctx context.Context, a chain.Address) (us []chain.UTxO, err error) {
	err = n.view(ctx, "asking for the outputs of "+a.String(), func(q *asker, _ chain.Point) (err error) {
		us, err = n.utxos(q, a)
		return err
	})
	return us, err
}

// Outputs are those of refs that are unspent at the node's tip. Some nodes answer nothing about an output that is not
// there, which is an error then. Each is a question of its own: nodes differ in what they make of several.
func (n *Node) Outputs(ctx context.Context, refs []chain.OutRef) (us []chain.UTxO, err error) {
	err = n.view(ctx, fmt.Sprintf("asking for %d outputs", len(refs)), func(q *asker, _ chain.Point) error {
		us = nil
		for _, ref := range refs {
			err := q.ask(queryOutput(ref), func(raw []byte) error {
				found, _, err := readOutputs(raw)
				for _, u := range found {
					if u.Ref == ref {
						us = append(us, u)
					}
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return us, err
}

// Snapshot is the tip, its height and the unspent outputs of addresses there: where an index can start that need
// not know the past.
func (n *Node) Snapshot(ctx context.Context, as ...chain.Address) (p chain.Point, at uint64, us []chain.UTxO, err error) {
	err = n.view(ctx, "taking a snapshot", func(q *asker, tip chain.Point) error {
		h, err := height(q, tip)
		if err != nil {
			return err
		}
		p, at, us = tip, h, nil
		for _, a := range as {
			more, err := n.utxos(q, a)
			if err != nil {
				return err
			}
			us = append(us, more...)
		}
		return nil
	})
	return p, at, us, err
}

// height is the number of the tip's block.
func height(q *asker, tip chain.Point) (h uint64, err error) {
	if tip == (chain.Point{}) {
		return 0, nil
	}
	err = q.ask(queryHeight, func(raw []byte) (err error) { h, err = blockNo(raw); return err })
	return h, err
}

// utxos asks for one address: nodes differ in what they make of several.
func (n *Node) utxos(q *asker, a chain.Address) (us []chain.UTxO, err error) {
	err = q.ask(queryUTxOs(a.Bytes()), func(raw []byte) (err error) {
		var skipped int
		if us, skipped, err = readUTxOs(raw, a); skipped > 0 {
			n.cfg.Log.Warn("outputs left out: their form is not read here", "address", a, "outputs", skipped)
		}
		return err
	})
	return us, err
}
