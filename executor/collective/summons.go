package collective

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// MeetProtocol is the libp2p protocol by which members of a circle agree on its next epoch: one summons of 128 bytes and
// one answer of 48 a stream, little endian. The roster are all who may be members, in their order: those the circle began
// with, and the spares.
//
//	0  magic "TLYM"   4  kind u8 (1 prepare, 2 commit, 3 knock)   5  zero   8 epoch u64   16 happened u64   24 happened by name u64
//	32 job [32]byte  64  hash of the view that broke [32]byte   96  who of the roster takes part, a bit a place [32]byte
//
//	0  magic "TLYM"   4  status u8 (0 no, 1 yes, 2 in a circle without you, 3 it has come to its end)   5  zero   8  promised u64
//	16 happened u64  24  had u64   32  happened by name u64   40  had by name u64
//
// Epoch is the new one, and promised the latest a member has promised. Happened is the last operation of which the member
// knows that all have its result, had the last up to which it has all results; those by name are counted in the order in
// which rank 0 let them go. A commit's happened is what they make together. Who knocks asks to be let in.
const MeetProtocol protocol.ID = "/tally/collective/meet/2"

const (
	summonsBytes = 128
	answerBytes  = 48
)

var magicMeet = [4]byte{'T', 'L', 'Y', 'M'}

type summonsKind uint8

const (
	prepare summonsKind = 1
	commit  summonsKind = 2
	knock   summonsKind = 3
)

type answerStatus uint8

const (
	saidNo        answerStatus = 0
	saidYes       answerStatus = 1
	saidElsewhere answerStatus = 2
	saidOver      answerStatus = 3
)

// summons is what a leader says.
type summons struct {
	kind     summonsKind
	job      JobID
	view     [32]byte
	epoch    uint64
	happened numbers
	members  bitmap
}

// bitmap is a set of ranks, or of places in a roster.
type bitmap [MaxPeers / 8]byte

func (b *bitmap) set(r int)     { b[r/8] |= 1 << (r % 8) }
func (b bitmap) has(r int) bool { return b[r/8]>>(r%8)&1 == 1 }

func (b bitmap) or(o bitmap) bitmap {
	for i := range b {
		b[i] |= o[i]
	}
	return b
}

func (b bitmap) count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// last is the highest rank in the set, or -1.
func (b bitmap) last() int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0 {
			return 8*i + bits.Len8(b[i]) - 1
		}
	}
	return -1
}

func (s summons) encode() []byte {
	b := make([]byte, summonsBytes)
	copy(b, magicMeet[:])
	b[4] = byte(s.kind)
	binary.LittleEndian.PutUint64(b[8:], s.epoch)
	binary.LittleEndian.PutUint64(b[16:], s.happened[inOrder])
	binary.LittleEndian.PutUint64(b[24:], s.happened[byName])
	copy(b[32:], s.job[:])
	copy(b[64:], s.view[:])
	copy(b[96:], s.members[:])
	return b
}

func decodeSummons(b []byte) (summons, error) {
	if len(b) != summonsBytes || [4]byte(b[:4]) != magicMeet {
		return summons{}, fmt.Errorf("%w: summons", ErrFrame)
	}
	s := summons{
		kind: summonsKind(b[4]), epoch: binary.LittleEndian.Uint64(b[8:]),
		happened: numbers{binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])},
		job:      JobID(b[32:64]), view: [32]byte(b[64:96]), members: bitmap(b[96:]),
	}
	if s.kind < prepare || s.kind > knock || b[5]|b[6]|b[7] != 0 || s.kind != commit && (s.happened != numbers{} || s.members != bitmap{}) {
		return summons{}, fmt.Errorf("%w: summons out of bounds", ErrFrame)
	}
	return s, nil
}

// answer is what a member says to it.
type answer struct {
	status        answerStatus
	promised      uint64
	happened, had numbers
}

func (a answer) encode() []byte {
	b := make([]byte, answerBytes)
	copy(b, magicMeet[:])
	b[4] = byte(a.status)
	for i, n := range []uint64{a.promised, a.happened[inOrder], a.had[inOrder], a.happened[byName], a.had[byName]} {
		binary.LittleEndian.PutUint64(b[8+8*i:], n)
	}
	return b
}

func decodeAnswer(b []byte) (answer, error) {
	if len(b) != answerBytes || [4]byte(b[:4]) != magicMeet || answerStatus(b[4]) > saidOver || b[5]|b[6]|b[7] != 0 {
		return answer{}, fmt.Errorf("%w: answer to a summons", ErrFrame)
	}
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	a := answer{answerStatus(b[4]), u64(0), numbers{u64(1), u64(3)}, numbers{u64(2), u64(4)}}
	for i := range a.had {
		if a.happened[i] > a.had[i] {
			return answer{}, fmt.Errorf("%w: an answer of more that has happened than was had", ErrFrame)
		}
	}
	return a, nil
}

// fits says whether two members of one group can be where they say: nothing has happened that one of them has not had.
func (a answer) fits(o answer) bool {
	for i := range a.had {
		if a.happened[i] > o.had[i] || o.happened[i] > a.had[i] {
			return false
		}
	}
	return true
}

// and is what is known of two members together.
func (a answer) and(o answer) answer {
	for i := range a.had {
		a.happened[i], a.had[i] = max(a.happened[i], o.happened[i]), min(a.had[i], o.had[i])
	}
	return a
}

// settled is what has happened if these are all the members that are left: what all of them have, too.
func (a answer) settled() (all numbers) {
	for i := range all {
		all[i] = max(a.happened[i], a.had[i])
	}
	return all
}

// summon asks one peer.
func (s *Service) summon(ctx context.Context, to peer.ID, what summons) (answer, error) {
	st, err := s.host.NewStream(relayed(ctx), to, MeetProtocol)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = st.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer stop()
	if _, err := st.Write(what.encode()); err != nil {
		return answer{}, err
	}
	var b [answerBytes]byte
	if _, err := io.ReadFull(st, b[:]); err != nil {
		return answer{}, err
	}
	return decodeAnswer(b[:])
}

// summoned answers one summons.
func (s *Service) summoned(st network.Stream) {
	s.accept(st, func(stream) (peer.ID, error) { return st.Conn().RemotePeer(), nil }, s.hear)
}

// hear finds the circle a summons is for. A stranger is told no more than that there is none.
func (s *Service) hear(st stream, from peer.ID) error {
	if err := st.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	var b [summonsBytes]byte
	if _, err := io.ReadFull(st, b[:]); err != nil {
		return err
	}
	what, err := decodeSummons(b[:])
	if err != nil {
		return err
	}
	s.mu.Lock()
	c, over := s.circles[what.job], s.overs[what.job]
	s.mu.Unlock()
	var a answer
	switch {
	case c != nil:
		a = c.answered(from, what)
	case what.kind == knock && over.roster.rankOf(from) >= 0:
		a.status = saidOver
	}
	if _, err := st.Write(a.encode()); err != nil {
		return err
	}
	return st.Close()
}
