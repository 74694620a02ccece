package gcm

import (
	"crypto/cipher"
	"encoding/binary"
	"math/bits"
)

// table is what the loops read of a key. Its layout is known to them.
type table struct {
	keys   [11][2][16]byte // of each round, twice
	powers [16][16]byte    // of the hash key, the 16th first, each times x and reversed
}

func (t *table) expand(key []byte, block cipher.Block) {
	for i, k := range roundKeys(key) {
		t.keys[i] = [2][16]byte{k, k}
	}
	var zero, h [16]byte
	block.Encrypt(h[:], zero[:])
	one := element{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}
	power := one
	for i := range t.powers {
		at := &t.powers[len(t.powers)-1-i]
		x := power.timesX()
		binary.LittleEndian.PutUint64(at[:], x.low)
		binary.LittleEndian.PutUint64(at[8:], x.high)
		power = power.times(one)
	}
}

// An element of GF(2^128) as GCM writes it: the first bit, highest here, is the coefficient of 1.
type element struct{ high, low uint64 }

// times multiplies as SP 800-38D, section 6.3, does: bit by bit, without a branch or an index that depends on a value.
func (x element) times(y element) (z element) {
	for i := range 128 {
		word := x.high
		if i >= 64 {
			word = x.low
		}
		bit := -(word >> (63 - i%64) & 1)
		z.high ^= y.high & bit
		z.low ^= y.low & bit
		carry := -(y.low & 1)
		y.low = y.low>>1 | y.high<<63
		y.high = y.high>>1 ^ carry&(0xe1<<56)
	}
	return z
}

// timesX is the number shifted by one, which makes up for a product of reversed numbers that is a bit too low.
func (x element) timesX() element {
	carry := -(x.high >> 63)
	return element{x.high<<1 | x.low>>63 ^ carry&(0xc2<<56), x.low<<1 ^ carry&1}
}

// roundKeys are AES-128's (FIPS 197, section 5.2). The S-box is computed, not looked up.
func roundKeys(key []byte) (keys [11][16]byte) {
	copy(keys[0][:], key)
	constant := byte(1)
	for r := 1; r < len(keys); r++ {
		before, k := keys[r-1], &keys[r]
		for i := range 4 {
			k[i] = before[i] ^ substitute(before[12+(i+1)%4])
		}
		k[0] ^= constant
		for i := 4; i < 16; i++ {
			k[i] = before[i] ^ k[i-4]
		}
		constant = double(constant)
	}
	return keys
}

func double(b byte) byte { return b<<1 ^ -(b>>7)&0x1b }

// substitute is AES's S-box: the inverse, which is the 254th power, and an affine map.
func substitute(b byte) byte {
	inverse := byte(1)
	for range 254 {
		product := byte(0)
		for i, y := 0, b; i < 8; i++ {
			product ^= y & -(inverse >> i & 1)
			y = double(y)
		}
		inverse = product
	}
	r := inverse
	for i := 1; i <= 4; i++ {
		r ^= bits.RotateLeft8(inverse, i)
	}
	return r ^ 0x63
}

func (t *table) start() *byte { return &t.keys[0][0][0] }
