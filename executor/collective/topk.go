package collective

import (
	"fmt"

	"github.com/tallycompute/tally/executor/collective/kernel"
)

// entries is how many of the operation's values each rank sends.
func (o Operation) entries() int {
	return int((uint64(len(o.Src)/4)*uint64(o.Share) + 1<<16 - 1) >> 16)
}

// topK has every rank add all ranks' largest values in rank order. What a rank does not send is left in its residual. What
// is more than 16 KiB, and would not be less so, goes by whole; the largest values, by gather.
func (l *lane) topK(h header, o Operation, whole func() error, gather func(parts [][]byte) error) error {
	n, me, k := l.g.Size(), l.g.Rank(), o.entries()
	if l.counts == nil {
		l.counts = new(kernel.Counts)
	}
	if len(o.Src) <= smallBytes || k*n > len(o.Src)/4 { // what has no place among the largest is an error, whatever the size
		if len(o.Src) > 0 {
			if err := kernel.Largest(make([]byte, kernel.EntryBytes), o.Src, 1, l.counts); err != nil {
				return notFinite(o, 0, err)
			}
		}
		if len(o.Src) <= smallBytes {
			return l.directReduce(h, o)
		}
		return whole()
	}
	parts := split(l.buffer(n*k*kernel.EntryBytes), same(n, k*kernel.EntryBytes))
	from := o.Src
	if o.Residual != nil {
		kernel.Fold(F32, Sum, o.Residual, o.Residual, o.Src)
		from = o.Residual
	}
	if err := kernel.Largest(parts[me], from, k, l.counts); err != nil {
		return notFinite(o, 0, err)
	}
	if o.Residual != nil {
		kernel.ClearEntries(o.Residual, parts[me])
	}
	if err := gather(parts); err != nil {
		return err
	}
	clear(o.Dst)
	for r, part := range parts {
		if err := kernel.AddEntries(o.Dst, part); err != nil {
			return &PeerError{r, l.g.view.Peers[r].ID, ErrFrame, fmt.Sprintf("%v: its largest values: %v", o, err)}
		}
	}
	if o.Reduce == Mean {
		kernel.Divide(F32, o.Dst, n)
	}
	return nil
}
