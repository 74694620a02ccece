package collective

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func FuzzHello(f *testing.F) {
	f.Add(hello{kind: kindData, epoch: 3, from: 1, to: 0, size: 2}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err == nil && !bytes.Equal(h.encode(), b) {
			t.Fatalf("%x decodes to %+v, which encodes otherwise", b, h)
		}
	})
}

func FuzzWelcome(f *testing.F) {
	f.Add(encodeWelcome(welcomeView))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeWelcome(b)
		if err == nil && !bytes.Equal(encodeWelcome(s), b) {
			t.Fatalf("%x decodes to %v, which encodes otherwise", b, s)
		}
	})
}

func FuzzHeader(f *testing.F) {
	var seed [headerBytes]byte
	header{op: opAllReduce, reduce: Mean, seq: 7, epoch: 1, bytes: 4000}.put(seed[:])
	f.Add(seed[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err != nil {
			return
		}
		var again [headerBytes]byte
		h.put(again[:])
		if !bytes.Equal(again[:], b) || h.bytes > MaxOperation || h.root >= MaxPeers || h.String() == "" {
			t.Fatalf("%x decodes to %+v", b, h)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add(control{typ: controlAbort, rank: 2, seq: 9, text: "why"}.encode())
	f.Add(control{typ: controlHeartbeat, seq: 1 << 40}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < controlBytes {
			return
		}
		c, n, err := decodeControl(b[:controlBytes])
		if err != nil {
			return
		}
		c.text = strings.Repeat("x", n)
		if !bytes.Equal(c.encode()[:controlBytes], b[:controlBytes]) || n > maxText {
			t.Fatalf("%x decodes to %+v", b, c)
		}
	})
}

// FuzzCommand proves that a command that passes its checks touches only the arena.
func FuzzCommand(f *testing.F) {
	seed := func(op operation, src, dst, n uint64) []byte {
		b := make([]byte, commandBytes)
		b[0] = byte(op)
		binary.LittleEndian.PutUint64(b[8:], src)
		binary.LittleEndian.PutUint64(b[16:], dst)
		binary.LittleEndian.PutUint64(b[24:], n)
		return b
	}
	f.Add(seed(opAllReduce, 0, 64, 64), 2)
	f.Add(seed(opAllGather, 0, 64, 64), 4)
	f.Add(seed(opAllReduce, ^uint64(63), 0, 128), 1)
	f.Add(seed(opAllGather, 0, 64, 1<<63), 2)
	f.Add(seed(opBroadcast, 64, 0, ^uint64(0)), 3)
	mem := make([]byte, minArena)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 || size > MaxPeers {
			return
		}
		c, err := decodeCommand(b)
		if err != nil || c.check(size, uint64(len(mem))) != nil {
			return
		}
		switch c.op { // as perform slices: out of the arena would panic
		case opAllReduce:
			if len(floatsOf(mem[c.src:c.src+c.bytes])) != len(floatsOf(mem[c.dst:c.dst+c.bytes])) {
				t.Fatal("two lengths")
			}
		case opBroadcast:
			_ = mem[c.src : c.src+c.bytes]
		case opAllGather:
			_ = mem[c.dst : c.dst+c.bytes*uint64(size)]
			_ = mem[c.src : c.src+c.bytes]
		}
	})
}

func FuzzGuestHello(f *testing.F) {
	f.Add(append([]byte("TLYG\x01\x00"), make([]byte, 10)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkGuestHello(b) == nil && (len(b) != guestHelloBytes || !bytes.HasPrefix(b, magicGate[:])) {
			t.Fatalf("%x was taken for a hello", b)
		}
	})
}
