package chain

import (
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// MaxBlockBytes bounds every block that is decoded: mainnet's are of 90,112 bytes at most, and a header.
const MaxBlockBytes = 512 << 10

// RawBlock is a block of any era since Shelley in its parts, byte for byte as its producer encoded them.
type RawBlock struct {
	Header []byte // what the block's hash is the hash of
	Txs    []RawTx

	frame wire // the rest: what is around the parts, and which transactions are invalid
}

// The parts of a block (Shelley CDDL, block; the last one since Alonzo).
const (
	blockHeader = iota
	blockBodies
	blockWitnesses
	blockAux // {index of the transaction: auxiliary data}
	blockInvalid
)

// DecodeRawBlock takes a block of at most MaxBlockBytes apart, without the era that nodes put before it. Bytes puts it
// together again, the same. What is in the parts is not judged.
func DecodeRawBlock(b []byte) (*RawBlock, error) {
	w, err := parseWire(b, MaxBlockBytes)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	bad := fmt.Errorf("a block is a header, bodies, witnesses, and what goes with them: %w", ErrMalformed)
	if n := len(w.of); w.major() != majorArray || n < blockInvalid || n > blockInvalid+1 || w.of[blockAux].major() != majorMap {
		return nil, bad
	}
	bodies, sets := w.of[blockBodies], w.of[blockWitnesses]
	if bodies.major() != majorArray || sets.major() != majorArray || len(bodies.of) != len(sets.of) {
		return nil, bad
	}
	block := &RawBlock{Header: w.of[blockHeader].bytes(), frame: w}
	phases := len(w.of) > blockInvalid
	frame := wire{first: appendArray(nil, 3)[0]}
	if phases {
		frame = wire{first: appendArray(nil, 4)[0]}
	}
	for i := range bodies.of {
		block.Txs = append(block.Txs, RawTx{Body: bodies.of[i].bytes(), Witnesses: sets.of[i].bytes(), Valid: true, frame: frame, phases: phases})
	}
	for i, pairs := 0, w.of[blockAux].of; i < len(pairs); i += 2 {
		t := block.tx(pairs[i])
		if t == nil || t.Aux != nil {
			return nil, fmt.Errorf("block %s: auxiliary data of no transaction, or twice of one: %w", block.Hash(), ErrMalformed)
		}
		t.Aux = pairs[i+1].bytes()
	}
	if phases {
		invalid, ok := w.of[blockInvalid].elements()
		for _, x := range invalid {
			t := block.tx(x)
			if ok = ok && t != nil; ok {
				t.Valid = false
			}
		}
		if !ok {
			return nil, bad
		}
	}
	return block, nil
}

// tx is the transaction that an index names.
func (b *RawBlock) tx(index wire) *RawTx {
	i, ok := index.number()
	if !ok || i >= uint64(len(b.Txs)) {
		return nil
	}
	return &b.Txs[i]
}

// Hash is the block's hash, which is its header's.
func (b *RawBlock) Hash() BlockHash { return blake2b.Sum256(b.Header) }

// Bytes is the whole block.
func (b *RawBlock) Bytes() []byte {
	var bodies, sets, aux [][]byte
	for _, t := range b.Txs {
		bodies, sets = append(bodies, t.Body), append(sets, t.Witnesses)
	}
	for i, pairs := 0, b.frame.of[blockAux].of; i < len(pairs); i += 2 {
		aux = append(aux, pairs[i].bytes(), b.tx(pairs[i]).Aux)
	}
	parts := [][]byte{
		b.Header, b.frame.of[blockBodies].around(bodies...), b.frame.of[blockWitnesses].around(sets...), b.frame.of[blockAux].around(aux...),
	}
	if len(b.frame.of) > blockInvalid {
		parts = append(parts, b.frame.of[blockInvalid].bytes())
	}
	return b.frame.around(parts...)
}
