package node

import (
	"context"
	"fmt"
	"time"

	"github.com/tallycompute/tally/chain"
)

// Status is what a node says of itself, all at one state of its ledger.
type Status struct {
	Tip    chain.Point // the zero Point before the first block
	Height uint64
	Era    string // "conway"
	Params chain.Params
	Clock  chain.Clock
}

// Age is how long ago the tip's slot began; negative: this machine's clock is behind the chain.
func (s Status) Age(now time.Time) time.Duration {
	return time.Duration(now.UnixMilli()-int64(s.Clock.SlotToTime(s.Tip.Slot))) * time.Millisecond
}

// Quiet is how long a network of this clock may go without a block: 300 slots. With blocks in a twentieth of the slots,
// as on mainnet, that happens by chance once in five million times.
func (s Status) Quiet() time.Duration {
	const slots = 300
	return slots * s.slotLength()
}

// slotLength is that of the last era; 0 before the node has said it.
func (s Status) slotLength() time.Duration {
	if len(s.Clock.Eras) == 0 {
		return 0
	}
	return time.Duration(s.Clock.Eras[len(s.Clock.Eras)-1].SlotLength) * time.Millisecond
}

// Protocol is the protocol version, as "major.minor".
func (s Status) Protocol() string {
	return fmt.Sprintf("%d.%d", s.Params.ProtocolMajor, s.Params.ProtocolMinor)
}

// eras are the names of the hard-fork combinator's eras, by their place in it.
var eras = []string{"byron", "shelley", "allegra", "mary", "alonzo", "babbage", "conway", "dijkstra"}

// Status asks the node everything about itself at once. A node in another era than Conway, which is still syncing or
// ahead of this program, has no Params.
func (n *Node) Status(ctx context.Context) (s Status, err error) {
	err = n.view(ctx, "asking for the node's status", func(q *asker, tip chain.Point) error {
		s = Status{Tip: tip}
		if s.Height, err = height(q, tip); err != nil {
			return err
		}
		var era int
		if err := q.ask(queryEra, func(raw []byte) error { return unmarshal(raw, &era) }); err != nil {
			return err
		}
		if s.Era = fmt.Sprintf("era %d", era); era >= 0 && era < len(eras) {
			s.Era = eras[era]
		}
		if s.Clock, err = clock(q); err != nil {
			return err
		}
		if s.Era == "conway" {
			s.Params, err = params(q)
		}
		return err
	})
	return s, err
}
