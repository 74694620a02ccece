package collective

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzHello(f *testing.F) {
	f.Add(hello{kind: kindLane + 1, epoch: 3, from: 1, to: 0, size: 2}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err == nil && !bytes.Equal(h.encode(), b) {
			t.Fatalf("%x decodes to %+v, which encodes otherwise", b, h)
		}
	})
}

func FuzzWelcome(f *testing.F) {
	f.Add(welcome{status: welcomeView, port: 4001}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeWelcome(b)
		if err == nil && !bytes.Equal(w.encode(), b) {
			t.Fatalf("%x decodes to %v, which encodes otherwise", b, w)
		}
	})
}

func FuzzHeader(f *testing.F) {
	var seed [headerBytes]byte
	header{op: AllReduce, reduce: Mean, typ: BF16, wire: AsInt8, root: 3, seq: 7, epoch: 1, bytes: 4000, digest: 99}.put(seed[:])
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

// FuzzCommand proves that a command that passes its checks touches only the arena, and that one that does not is refused
// without a panic.
func FuzzCommand(f *testing.F) {
	f.Add(ask{kind: AllReduce, dst: span{64, 64}, src: span{0, 64}}.encode(1), 2)
	f.Add(ask{kind: AllGather, dst: span{128, 256}, src: span{64, 64}, parts: []uint64{64, 64, 64, 64}}.encode(1), 4)
	f.Add(ask{kind: AllReduce, dst: span{0, 128}, src: span{^uint64(63), 128}}.encode(1), 1)
	f.Add(ask{kind: AllGather, dst: span{64, 1 << 63}, src: span{0, 64}}.encode(1), 2)
	f.Add(ask{kind: AllReduce, wire: AsTopK, share: 655, dst: span{64, 64}, src: span{0, 64}, residual: 256}.encode(1), 2)
	f.Add(ask{kind: AllReduce, wire: AsInt8, dst: span{64, 64}, src: span{0, 64}, residual: 256, name: "w", dims: []uint64{4, 4}}.encode(1), 2)
	f.Add(ask{kind: AllToAll, dst: span{64, 8}, src: span{0, 8}, parts: []uint64{4, 4, 4, 4}}.encode(1), 2)
	f.Add(ask{kind: partition, parts: []uint64{0, 1}}.encode(1), 3)
	f.Add(ask{kind: admission}.encode(1), 3)
	mem := make([]byte, minArena)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 || size > MaxPeers || len(b) < commandBytes {
			return
		}
		c, follows, err := decodeCommand(b[:commandBytes])
		if err != nil {
			return
		}
		if err := c.decodeTail(follows, b[commandBytes:]); err != nil {
			return
		}
		o, err := c.operation(mem)
		if err != nil {
			return
		}
		o, err = o.check(0, size)
		if err != nil || o.String() == "" {
			return
		}
		for _, region := range [][]byte{o.Src, o.Dst, o.Residual} {
			if len(region) > len(mem) || len(region) != cap(region) {
				t.Fatalf("%+v reaches %d of %d bytes", o, cap(region), len(mem))
			}
		}
		whole := func(b []byte, counts []int) {
			total := 0
			for _, part := range split(b, counts) { // panics where they do not fit
				total += len(part)
			}
			if total != len(b) {
				t.Fatalf("parts of %d bytes in %d", total, len(b))
			}
		}
		switch o.Kind {
		case ReduceScatter:
			whole(o.Src, o.Counts)
		case AllGather:
			whole(o.Dst, o.Counts)
		case AllToAll:
			whole(o.Src, o.Counts)
			whole(o.Dst, o.Receive)
		}
	})
}

func FuzzGuestHello(f *testing.F) {
	f.Add(append([]byte("TLYG\x03\x00"), make([]byte, 10)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkGuestHello(b) == nil && (len(b) != guestHelloBytes || !bytes.HasPrefix(b, magicGate[:])) {
			t.Fatalf("%x was taken for a hello", b)
		}
	})
}

func FuzzSummons(f *testing.F) {
	s := summons{kind: commit, epoch: 3, happened: numbers{9, 2}}
	s.members.set(5)
	f.Add(s.encode())
	f.Add(summons{kind: prepare, epoch: 3}.encode())
	f.Add(answer{status: saidYes, promised: 4, happened: numbers{2, 1}, had: numbers{3, 1}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSummons(b); err == nil && (!bytes.Equal(s.encode(), b) || s.members.last() >= MaxPeers) {
			t.Fatalf("%x decodes to %+v", b, s)
		}
		if a, err := decodeAnswer(b); err == nil && !bytes.Equal(a.encode(), b) {
			t.Fatalf("%x decodes to %+v", b, a)
		}
	})
}
