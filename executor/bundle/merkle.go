package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Domains of the three kinds of hash, so that none can be taken for another.
const (
	leafDomain  = 0
	innerDomain = 1
	rootDomain  = 2
)

// Root returns the bundle's name; the package comment has the formula.
func (m Manifest) Root() Root {
	leaves := make([]Hash, len(m.Entries))
	var buf []byte
	for i, e := range m.Entries {
		buf = e.appendTo(append(buf[:0], leafDomain))
		leaves[i] = sha256.Sum256(buf)
	}
	b := append([]byte{rootDomain}, magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(leaves)))
	top := tree(leaves)
	return sha256.Sum256(append(b, top[:]...))
}

// tree is the Merkle tree hash of RFC 6962, section 2.1: the left subtree has the largest power of two below n leaves.
func tree(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return Hash{}
	case 1:
		return leaves[0]
	}
	split := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	left, right := tree(leaves[:split]), tree(leaves[split:])
	b := make([]byte, 0, 1+2*hashSize)
	b = append(b, innerDomain)
	b = append(b, left[:]...)
	return sha256.Sum256(append(b, right[:]...))
}
