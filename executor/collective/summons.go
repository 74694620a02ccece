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
// one answer of 32 a stream, little endian.
//
//	0  magic "TLYM"   4  kind u8 (1 prepare, 2 commit)   5  zero   8 epoch u64   16 happened u64   24 zero
//	32 job [32]byte  64  hash of the view that broke [32]byte   96  who of it takes part, a bit a rank [32]byte
//
//	0  magic "TLYM"   4  yes u8   5  zero   8  promised u64   16  happened u64   24  had u64
//
// Epoch is the new one, and promised the latest a member has promised. Happened is the last operation after which the
// member came past the barrier, had the last of which it has the result; a commit's happened is what they make together.
const MeetProtocol protocol.ID = "/tally/collective/meet/1"

const (
	summonsBytes = 128
	answerBytes  = 32
)

var magicMeet = [4]byte{'T', 'L', 'Y', 'M'}

type summonsKind uint8

const (
	prepare summonsKind = 1
	commit  summonsKind = 2
)

// summons is what a leader says.
type summons struct {
	kind     summonsKind
	job      JobID
	view     [32]byte
	epoch    uint64
	happened uint64
	members  bitmap
}

// bitmap is a set of ranks.
type bitmap [MaxPeers / 8]byte

func (b *bitmap) set(r int)     { b[r/8] |= 1 << (r % 8) }
func (b bitmap) has(r int) bool { return b[r/8]>>(r%8)&1 == 1 }

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
	binary.LittleEndian.PutUint64(b[16:], s.happened)
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
		kind: summonsKind(b[4]), epoch: binary.LittleEndian.Uint64(b[8:]), happened: binary.LittleEndian.Uint64(b[16:]),
		job: JobID(b[32:64]), view: [32]byte(b[64:96]), members: bitmap(b[96:]),
	}
	if s.kind != prepare && s.kind != commit || b[5]|b[6]|b[7] != 0 || binary.LittleEndian.Uint64(b[24:]) != 0 ||
		s.kind == prepare && (s.happened != 0 || s.members != bitmap{}) {
		return summons{}, fmt.Errorf("%w: summons out of bounds", ErrFrame)
	}
	return s, nil
}

// answer is what a member says to it.
type answer struct {
	yes                     bool
	promised, happened, had uint64
}

func (a answer) encode() []byte {
	b := make([]byte, answerBytes)
	copy(b, magicMeet[:])
	if a.yes {
		b[4] = 1
	}
	binary.LittleEndian.PutUint64(b[8:], a.promised)
	binary.LittleEndian.PutUint64(b[16:], a.happened)
	binary.LittleEndian.PutUint64(b[24:], a.had)
	return b
}

func decodeAnswer(b []byte) (answer, error) {
	if len(b) != answerBytes || [4]byte(b[:4]) != magicMeet || b[4] > 1 || b[5]|b[6]|b[7] != 0 {
		return answer{}, fmt.Errorf("%w: answer to a summons", ErrFrame)
	}
	return answer{b[4] == 1, binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}, nil
}

// summon asks one peer.
func (s *Service) summon(ctx context.Context, to peer.ID, what summons) (answer, error) {
	st, err := s.host.NewStream(ctx, to, MeetProtocol)
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
	c := s.circles[what.job]
	s.mu.Unlock()
	var a answer
	if c != nil && c.View().rankOf(from) >= 0 {
		a = c.answered(from, what)
	}
	if _, err := st.Write(a.encode()); err != nil {
		return err
	}
	return st.Close()
}
