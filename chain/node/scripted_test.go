package node_test

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ouroboros "github.com/blinklabs-io/gouroboros"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	pcommon "github.com/blinklabs-io/gouroboros/protocol/common"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"

	"github.com/tallycompute/tally/chain"
)

// script is what a scripted node says of itself.
type script struct {
	magic  uint32
	tip    chain.Point
	height uint64
	era    int
	start  time.Time
	slot   time.Duration
	params *conway.ConwayProtocolParameters

	forked    uint64 // a second era begins at this slot; 0: none
	slotAfter time.Duration

	mute bool // it takes connections and says nothing
}

// scripted is a node that speaks node-to-client and says what the test wants.
type scripted struct {
	*testing.T
	socket string
	mu     sync.Mutex
	script
	listener net.Listener
	conns    []net.Conn
	wg       sync.WaitGroup
}

func newScripted(t *testing.T) *scripted {
	d, err := os.MkdirTemp(dir, "scripted")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{T: t, socket: filepath.Join(d, "node.socket"), script: script{
		magic: magic, tip: point(1000), height: 900, era: 6, slot: time.Second, params: liveParams(t),
		start: time.Now().Add(-1000 * time.Second).Truncate(time.Millisecond),
	}}
	s.listen()
	t.Cleanup(s.stop)
	return s
}

func point(slot chain.Slot) chain.Point {
	return chain.Point{Slot: slot, Hash: chain.BlockHash{byte(slot), byte(slot >> 8), 1}}
}

// liveParams are the live node's, as the library has them.
func liveParams(t *testing.T) *conway.ConwayProtocolParameters {
	t.Helper()
	nc, err := net.Dial("unix", live.Socket)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ouroboros.NewConnection(ouroboros.WithConnection(nc), ouroboros.WithNetworkMagic(magic), ouroboros.WithNodeToNode(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p, err := conn.LocalStateQuery().Client.GetCurrentProtocolParams()
	if err != nil {
		t.Fatal(err)
	}
	return p.(*conway.ConwayProtocolParameters)
}

// says changes what the node says.
func (s *scripted) says(f func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.script)
}

func (s *scripted) listen() {
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		s.Fatal(err)
	}
	s.listener = l
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
}

// stop is the end of the node's process; listen is the next one.
func (s *scripted) stop() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	said := s.script
	s.mu.Unlock()
	if said.mute {
		c.Read(make([]byte, 1))
		for {
			if _, err := c.Read(make([]byte, 100)); err != nil {
				return
			}
		}
	}
	cfg := localstatequery.NewConfig(
		localstatequery.WithAcquireFunc(func(localstatequery.CallbackContext, localstatequery.AcquireTarget, bool) error { return nil }),
		localstatequery.WithReleaseFunc(func(localstatequery.CallbackContext) error { return nil }),
		localstatequery.WithQueryFunc(func(_ localstatequery.CallbackContext, q localstatequery.QueryWrapper) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.answer(q.Query)
		}))
	conn, err := ouroboros.NewConnection(ouroboros.WithConnection(c), ouroboros.WithServer(true), ouroboros.WithNodeToNode(false),
		ouroboros.WithNetworkMagic(said.magic), ouroboros.WithLocalStateQueryConfig(cfg))
	if err != nil {
		return
	}
	for range conn.ErrorChan() {
	}
}

func (s *script) answer(query any) (any, error) {
	switch q := query.(type) {
	case *localstatequery.SystemStartQuery:
		year, day := s.start.UTC().Year(), s.start.UTC().YearDay()
		since := s.start.Sub(time.Date(year, 1, day, 0, 0, 0, 0, time.UTC))
		picos := new(big.Int).Mul(big.NewInt(since.Nanoseconds()), big.NewInt(1000))
		return localstatequery.SystemStartResult{Year: *big.NewInt(int64(year)), Day: day, Picoseconds: *picos}, nil
	case *localstatequery.ChainBlockNoQuery:
		return []any{1, s.height}, nil
	case *localstatequery.ChainPointQuery:
		return pcommon.NewPoint(uint64(s.tip.Slot), s.tip.Hash[:]), nil
	case *localstatequery.BlockQuery:
		switch q := q.Query.(type) {
		case *localstatequery.HardForkQuery:
			if _, ok := q.Query.(*localstatequery.HardForkCurrentEraQuery); ok {
				return s.era, nil
			}
			at := func(slot uint64) []any { return []any{slot * uint64(s.slot.Milliseconds()) * 1_000_000_000, slot, 0} }
			params := func(slot time.Duration) []any {
				return []any{100_000, slot.Milliseconds(), []any{0, 100, []int{0}}, 100}
			}
			if s.forked == 0 {
				return []any{[]any{at(0), at(1_000_000), params(s.slot)}}, nil
			}
			return []any{[]any{at(0), at(s.forked), params(s.slot)}, []any{at(s.forked), nil, params(s.slotAfter)}}, nil
		case *localstatequery.ShelleyQuery:
			if _, ok := q.Query.(*localstatequery.ShelleyCurrentProtocolParamsQuery); ok {
				if s.era != 6 {
					return []any{[]any{s.era, "Later"}, []any{6, "Conway"}}, nil
				}
				return []any{s.params}, nil
			}
		}
	}
	return nil, fmt.Errorf("%T: %w", query, errors.ErrUnsupported)
}
