package collective

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A matrix is what the members of a view have measured of the lines between them: one row each, and all have all rows.
type matrix struct {
	peers []peer.ID
	// rtt are round trips in microseconds: row a, column b is rank a's to rank b.
	rtt []uint32
	// rate are KiB a second: row a, column b is what came from rank b to rank a, or 0 where nothing may be tried, as
	// through a relay. Nil: nobody tried.
	rate []uint32
}

const (
	// maxRTT is the longest round trip in a row, in microseconds.
	maxRTT = 60e6
	// bucketBytes are a step's typical burst: an edge of the ring costs what they take, and half a round trip.
	bucketBytes = 4 << 20
	// avoided is what an edge costs that should not be taken at all, in microseconds.
	avoided = int64(1e12)
)

func newMatrix(v View) *matrix {
	m := &matrix{rtt: make([]uint32, len(v.Peers)*len(v.Peers))}
	for _, p := range v.Peers {
		m.peers = append(m.peers, p.ID)
	}
	return m
}

func (m *matrix) size() int { return len(m.peers) }

// trip is the round trip between two ranks, the longer of what each has measured.
func (m *matrix) trip(a, b int) time.Duration {
	n := m.size()
	return time.Duration(max(m.rtt[a*n+b], m.rtt[b*n+a])) * time.Microsecond
}

// speed is what gets from rank a to rank b in bytes a second; 0: not known.
func (m *matrix) speed(a, b int) float64 {
	if m.rate == nil {
		return 0
	}
	return float64(m.rate[b*m.size()+a]) * 1024
}

// cost is that of the edge from rank a to rank b, in microseconds.
func (m *matrix) cost(a, b int) int64 {
	latency := m.trip(a, b).Microseconds() / 2
	if m.rate == nil {
		return latency
	}
	if m.speed(a, b) == 0 {
		return avoided
	}
	return latency + int64(bucketBytes/m.speed(a, b)*1e6)
}

// among is the matrix of a view whose members all are in this one, or nil.
func (m *matrix) among(v View) *matrix {
	if m == nil {
		return nil
	}
	at := make(map[peer.ID]int, m.size())
	for i, id := range m.peers {
		at[id] = i
	}
	sub := newMatrix(v)
	n := sub.size()
	if m.rate != nil {
		sub.rate = make([]uint32, n*n)
	}
	for a, from := range sub.peers {
		for b, to := range sub.peers {
			x, xIn := at[from]
			y, yIn := at[to]
			if !xIn || !yIn {
				return nil
			}
			sub.rtt[a*n+b] = m.rtt[x*m.size()+y]
			if m.rate != nil {
				sub.rate[a*n+b] = m.rate[x*m.size()+y]
			}
		}
	}
	return sub
}

// digest identifies what was measured; of nothing it is 0.
func (m *matrix) digest() uint64 {
	if m == nil {
		return 0
	}
	h := sha256.New()
	h.Write([]byte("tally/collective/matrix/1"))
	for _, id := range m.peers {
		_, _ = fmt.Fprintf(h, "%d:%s", len(id), id)
	}
	for _, row := range [][]uint32{m.rtt, m.rate} {
		h.Write(encodeRow(row))
	}
	return max(1, binary.LittleEndian.Uint64(h.Sum(nil)))
}

// digestOf is that of rows.
func digestOf(rows []uint32) uint64 {
	sum := sha256.Sum256(encodeRow(rows))
	return binary.LittleEndian.Uint64(sum[:])
}

// A row on the wire is a u32 for each rank.
func encodeRow(row []uint32) []byte {
	b := make([]byte, 0, 4*len(row))
	for _, x := range row {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// decodeRow reads a rank's row of values from least to most, and 0 for the rank itself.
func decodeRow(b []byte, n, self int, least, most uint32) ([]uint32, error) {
	if len(b) != 4*n || self < 0 || self >= n {
		return nil, fmt.Errorf("%w: a row of %d bytes for %d ranks", ErrFrame, len(b), n)
	}
	row := make([]uint32, n)
	for i := range row {
		x := binary.LittleEndian.Uint32(b[4*i:])
		if i == self && x != 0 || i != self && (x < least || x > most) {
			return nil, fmt.Errorf("%w: %d for rank %d in the row of rank %d", ErrFrame, x, i, self)
		}
		row[i] = x
	}
	return row, nil
}

// micros is a round trip as rows have it.
func micros(d time.Duration) uint32 { return uint32(min(max(d.Microseconds(), 1), maxRTT)) }

// kibs is a rate as rows have it, at least 1.
func kibs(bytes int, d time.Duration) uint32 {
	perSecond := float64(bytes) / max(d.Seconds(), 1e-6)
	return uint32(min(max(perSecond/1024, 1), math.MaxUint32))
}
