package gcm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

const (
	keyBytes   = 16
	nonceBytes = 12
	tagBytes   = 16
	blockBytes = 16
	// strideBytes is what the loops take at a time.
	strideBytes = 16 * blockBytes
)

var errOpen = errors.New("gcm: message authentication failed")

// New gives the cipher for a key of 16 bytes. It is for one goroutine at a time.
func New(key []byte) (cipher.AEAD, error) {
	if len(key) != keyBytes {
		return nil, aes.KeySizeError(len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if !hasLoops {
		return cipher.NewGCM(block)
	}
	g := &bulk{block: block}
	g.table.expand(key, block)
	return g, nil
}

// bulk is the cipher with loops.
type bulk struct {
	block cipher.Block
	table table
	// What one call needs, here so that it need not be allocated.
	counter, pad, sum [blockBytes]byte
	counters          [2 * blockBytes]byte
}

func (g *bulk) NonceSize() int { return nonceBytes }
func (g *bulk) Overhead() int  { return tagBytes }

// Seal implements cipher.AEAD.
func (g *bulk) Seal(dst, nonce, plain, data []byte) []byte {
	whole := slices.Grow(dst, len(plain)+tagBytes)[:len(dst)+len(plain)+tagBytes]
	out := whole[len(dst):]
	g.begin(nonce, data)
	bulk := len(plain) / strideBytes * strideBytes
	if bulk > 0 {
		sealBlocks(&out[0], &plain[0], bulk, g.table.start(), &g.counters, &g.sum)
	}
	g.stream(out[bulk:len(plain)], plain[bulk:], bulk)
	g.hash(out[bulk:len(plain)])
	g.end(out[len(plain):], len(data), len(plain))
	return whole
}

// Open implements cipher.AEAD.
func (g *bulk) Open(dst, nonce, sealed, data []byte) ([]byte, error) {
	if len(sealed) < tagBytes {
		return nil, errOpen
	}
	n := len(sealed) - tagBytes
	whole := slices.Grow(dst, n)[:len(dst)+n]
	out := whole[len(dst):]
	g.begin(nonce, data)
	bulk := n / strideBytes * strideBytes
	if bulk > 0 {
		openBlocks(&out[0], &sealed[0], bulk, g.table.start(), &g.counters, &g.sum)
	}
	g.hash(sealed[bulk:n])
	g.stream(out[bulk:], sealed[bulk:n], bulk)
	var tag [tagBytes]byte
	g.end(tag[:], len(data), n)
	if subtle.ConstantTimeCompare(tag[:], sealed[n:]) != 1 {
		clear(out)
		return nil, errOpen
	}
	return whole, nil
}

// begin hashes the data that is not encrypted, and counts from the nonce.
func (g *bulk) begin(nonce, data []byte) {
	if len(nonce) != nonceBytes {
		panic("gcm: a nonce has 12 bytes")
	}
	g.sum = [blockBytes]byte{}
	g.hash(data)
	copy(g.counter[:], nonce)
	for i := range 2 { // the first is the tag's
		g.count(2 + i)
		for k, b := range g.counter {
			g.counters[i*blockBytes+blockBytes-1-k] = b
		}
	}
}

func (g *bulk) count(n int) { binary.BigEndian.PutUint32(g.counter[nonceBytes:], uint32(n)) }

// stream encrypts or decrypts what begins after so many bytes.
func (g *bulk) stream(dst, src []byte, after int) {
	for i := 0; i < len(src); i += blockBytes {
		g.count(2 + (after+i)/blockBytes)
		g.block.Encrypt(g.pad[:], g.counter[:])
		end := min(i+blockBytes, len(src))
		subtle.XORBytes(dst[i:end], src[i:end], g.pad[:])
	}
}

// hash adds b, filled up with zeros to whole blocks.
func (g *bulk) hash(b []byte) {
	if n := len(b) / blockBytes * blockBytes; n > 0 {
		hashBlocks(&g.sum, g.table.start(), &b[0], n)
		b = b[n:]
	}
	if len(b) > 0 {
		g.pad = [blockBytes]byte{}
		copy(g.pad[:], b)
		hashBlocks(&g.sum, g.table.start(), &g.pad[0], blockBytes)
	}
}

// end hashes the lengths and makes the tag.
func (g *bulk) end(tag []byte, data, text int) {
	binary.BigEndian.PutUint64(g.pad[:], uint64(data)*8)
	binary.BigEndian.PutUint64(g.pad[8:], uint64(text)*8)
	hashBlocks(&g.sum, g.table.start(), &g.pad[0], blockBytes)
	g.count(1)
	g.block.Encrypt(g.pad[:], g.counter[:])
	for i := range tag {
		tag[i] = g.sum[blockBytes-1-i] ^ g.pad[i]
	}
}
