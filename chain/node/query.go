package node

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"

	"github.com/tallycompute/tally/chain"
)

// view runs f on one state of the ledger, that of the tip: what f asks is consistent.
func (n *Node) view(ctx context.Context, what string, f func(q *localstatequery.Client, tip chain.Point) error) error {
	return n.exchange(ctx, what, true, func(s *session) error {
		q := s.conn.LocalStateQuery()
		if q == nil {
			return fmt.Errorf("the node answers no state queries: %w", ErrUnexpected)
		}
		if err := q.Client.AcquireVolatileTip(); err != nil {
			return err
		}
		// Asked first because its answer orders the library's memory: the library notes that it has acquired a state only
		// after it has said so.
		at, err := q.Client.GetChainPoint()
		if err != nil {
			return err
		}
		tip, err := fromPoint(*at)
		if err != nil {
			return err
		}
		if err := f(q.Client, tip); err != nil {
			return err
		}
		return q.Client.Release()
	})
}

// Params are the protocol parameters in force at the tip. The node must be in the Conway era.
func (n *Node) Params(ctx context.Context) (p chain.Params, err error) {
	err = n.view(ctx, "asking for protocol parameters", func(q *localstatequery.Client, _ chain.Point) error {
		p, err = params(q)
		return err
	})
	return p, err
}

func params(q *localstatequery.Client) (p chain.Params, err error) {
	pp, err := q.GetCurrentProtocolParams()
	if err != nil {
		return p, err
	}
	c, ok := pp.(*conway.ConwayProtocolParameters)
	if !ok {
		return p, fmt.Errorf("parameters of another era than Conway, %T: %w", pp, ErrUnexpected)
	}
	if p, err = chain.ParamsFrom(c); err != nil {
		return p, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return p, nil
}

// Clock is the network's start and eras, with the horizon the node has at its tip.
func (n *Node) Clock(ctx context.Context) (c chain.Clock, err error) {
	err = n.view(ctx, "asking for the clock", func(q *localstatequery.Client, _ chain.Point) error {
		c, err = clock(q)
		return err
	})
	return c, err
}

func clock(q *localstatequery.Client) (c chain.Clock, err error) {
	start, err := q.GetSystemStart()
	if err != nil {
		return c, err
	}
	history, err := q.GetEraHistory()
	if err != nil {
		return c, err
	}
	return clockFrom(start, history)
}

const (
	picosPerNano  = 1_000
	picosPerMilli = 1_000_000_000
)

func clockFrom(start *localstatequery.SystemStartResult, history []localstatequery.EraHistoryResult) (c chain.Clock, err error) {
	sinceDay := new(big.Int).Div(&start.Picoseconds, big.NewInt(picosPerNano))
	if !start.Year.IsInt64() || !sinceDay.IsInt64() {
		return c, fmt.Errorf("system start %s: %w", start, ErrUnexpected)
	}
	day := time.Date(int(start.Year.Int64()), time.January, start.Day, 0, 0, 0, 0, time.UTC) // Day is of the year, from 1
	c.SystemStart = chain.Time(day.Add(time.Duration(sinceDay.Int64())).UnixMilli())
	for _, e := range history {
		begin, err := milliseconds(e.Begin.Timespan)
		if err != nil || e.Begin.SlotNo < 0 {
			return c, fmt.Errorf("era beginning at slot %d, %v: %w", e.Begin.SlotNo, e.Begin.Timespan, ErrUnexpected)
		}
		c.Eras = append(c.Eras, chain.Era{FirstSlot: chain.Slot(e.Begin.SlotNo), Start: begin, SlotLength: int64(e.Params.SlotLength)})
		c.Horizon = 0
		if e.End.SlotNo > e.Begin.SlotNo {
			c.Horizon = chain.Slot(e.End.SlotNo)
		}
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return c, nil
}

// milliseconds reads a count of picoseconds as CBOR brought it.
func milliseconds(v any) (int64, error) {
	picos := new(big.Int)
	switch v := v.(type) {
	case uint64:
		picos.SetUint64(v)
	case int64:
		picos.SetInt64(v)
	case big.Int:
		picos.Set(&v)
	case *big.Int:
		picos.Set(v)
	default:
		return 0, fmt.Errorf("time of type %T: %w", v, ErrUnexpected)
	}
	ms := picos.Div(picos, big.NewInt(picosPerMilli))
	if !ms.IsInt64() || ms.Sign() < 0 {
		return 0, fmt.Errorf("time %s: %w", ms, ErrUnexpected)
	}
	return ms.Int64(), nil
}

// Tip is the last block of the node's chain; the zero Point before the first.
func (n *Node) Tip(ctx context.Context) (p chain.Point, err error) {
	err = n.view(ctx, "asking for the tip", func(_ *localstatequery.Client, tip chain.Point) error {
		p = tip
		return nil
	})
	return p, err
}

// UTxOs are the unspent outputs of one address at the node's tip, in no order. An output whose form Tally does not
// read (see chain.OutputFrom) is left out. For start-up: coins to spend come from the index.
func (n *Node) UTxOs(ctx context.Context, a chain.Address) (us []chain.UTxO, err error) {
	err = n.view(ctx, "asking for the outputs of "+a.String(), func(q *localstatequery.Client, _ chain.Point) (err error) {
		us, err = n.utxos(q, a)
		return err
	})
	return us, err
}

// Snapshot is the tip, its height and the unspent outputs of addresses there: where an index can start that need
// not know the past.
func (n *Node) Snapshot(ctx context.Context, as ...chain.Address) (p chain.Point, at uint64, us []chain.UTxO, err error) {
	err = n.view(ctx, "taking a snapshot", func(q *localstatequery.Client, tip chain.Point) error {
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
func height(q *localstatequery.Client, tip chain.Point) (uint64, error) {
	if tip == (chain.Point{}) {
		return 0, nil
	}
	h, err := q.GetChainBlockNo()
	if err != nil {
		return 0, err
	}
	if h < 0 {
		return 0, fmt.Errorf("height %d: %w", h, ErrUnexpected)
	}
	return uint64(h), nil
}

// utxos asks for one address: nodes differ in what they make of several.
func (n *Node) utxos(q *localstatequery.Client, a chain.Address) (us []chain.UTxO, err error) {
	la, err := lcommon.NewAddressFromBytes(a.Bytes())
	if err != nil {
		return nil, fmt.Errorf("address %s: %w: %w", a, ErrUnexpected, err)
	}
	r, err := q.GetUTxOByAddress([]ledger.Address{la})
	if err != nil {
		return nil, err
	}
	for id, out := range r.Results {
		o, ok := chain.OutputFrom(&out)
		if !ok {
			n.cfg.Log.Warn("output left out: its form is not read here", "tx", id.Hash, "index", id.Idx)
			continue
		}
		us = append(us, chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID(id.Hash), Index: uint32(id.Idx)}, Output: o})
	}
	return us, nil
}
