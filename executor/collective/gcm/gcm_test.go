package gcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"testing"
)

// both are the cipher of this package and the standard library's.
func both(t testing.TB, key []byte) (ours, theirs cipher.AEAD) {
	t.Helper()
	ours, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func random(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// agree has both seal the same and open what the other has sealed, into other memory and in place.
func agree(t *testing.T, key, nonce, plain, data []byte) {
	t.Helper()
	ours, theirs := both(t, key)
	before := []byte("before")
	got, want := ours.Seal(bytes.Clone(before), nonce, plain, data), theirs.Seal(bytes.Clone(before), nonce, plain, data)
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes with %d: sealed as %x, by the standard library as %x", len(plain), len(data), got, want)
	}
	sealed := want[len(before):]
	opened, err := ours.Open(bytes.Clone(before), nonce, sealed, data)
	if err != nil || !bytes.Equal(opened[len(before):], plain) || !bytes.HasPrefix(opened, before) {
		t.Fatalf("%d bytes with %d: opened as %x, %v", len(plain), len(data), opened, err)
	}
	inPlace := append(bytes.Clone(plain), make([]byte, 16)...)
	if got := ours.Seal(inPlace[:0], nonce, inPlace[:len(plain)], data); !bytes.Equal(got, sealed) || &got[0] != &inPlace[0] {
		t.Fatalf("%d bytes in place: sealed as %x", len(plain), got)
	}
	if got, err := ours.Open(inPlace[:0], nonce, inPlace, data); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%d bytes in place: opened as %x, %v", len(plain), got, err)
	}
}

func TestAgreesWithTheStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 1100 {
		agree(t, random(rng, 16), random(rng, 12), random(rng, n), random(rng, n%37))
	}
	for _, n := range []int{4096, 65535, 65536, 1<<20 + 17} {
		for shift := range 3 {
			agree(t, random(rng, 16), random(rng, 12), random(rng, n+shift)[shift:], random(rng, 4))
		}
	}
	for _, edge := range []byte{0, 0xff} { // of the field's arithmetic
		agree(t, bytes.Repeat([]byte{edge}, 16), bytes.Repeat([]byte{edge}, 12), bytes.Repeat([]byte{edge}, 5000), bytes.Repeat([]byte{edge}, 16))
	}
}

// TestChangedBits has every bit of a message matter, and nothing left of one that is refused.
func TestChangedBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	ours, _ := both(t, random(rng, 16))
	nonce, data := random(rng, 12), random(rng, 4)
	sealed := ours.Seal(nil, nonce, random(rng, 600), data)
	out := make([]byte, 600)
	refused := func(what string, nonce, sealed, data []byte) {
		t.Helper()
		for i := range out {
			out[i] = 1
		}
		if _, err := ours.Open(out[:0], nonce, sealed, data); err == nil {
			t.Fatalf("%s: taken for sealed", what)
		}
		if len(sealed) == 616 && !bytes.Equal(out, make([]byte, 600)) {
			t.Fatalf("%s: something is left of it", what)
		}
	}
	for i := range 8 * len(sealed) {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		refused(fmt.Sprintf("bit %d", i), nonce, b, data)
	}
	refused("another nonce", random(rng, 12), sealed, data)
	refused("other data", nonce, sealed, random(rng, 4))
	for n := range 20 {
		refused("cut short", nonce, sealed[:n*31], data)
	}
	if _, err := New(make([]byte, 15)); err == nil {
		t.Error("a key of 15 bytes")
	}
}

func FuzzAgreement(f *testing.F) {
	f.Add([]byte("sixteen bytes..."), []byte("twelve bytes"), bytes.Repeat([]byte{7}, 700), []byte("data"))
	f.Fuzz(func(t *testing.T, key, nonce, plain, data []byte) {
		if len(key) == 16 && len(nonce) == 12 {
			agree(t, key, nonce, plain, data)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{48, 1024, 65536} {
		ours, theirs := both(b, make([]byte, 16))
		for name, c := range map[string]cipher.AEAD{"ours": ours, "standard": theirs} {
			plain, out, nonce := make([]byte, n), make([]byte, n+16), make([]byte, 12)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					c.Seal(out[:0], nonce, plain, nil)
				}
			})
			b.Run(fmt.Sprintf("%s/open/%d", name, n), func(b *testing.B) {
				sealed := c.Seal(nil, nonce, plain, nil)
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := c.Open(out[:0], nonce, sealed, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
