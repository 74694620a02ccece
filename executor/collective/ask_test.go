package collective

import "encoding/binary"

// ask is a command as a container writes it.
type ask struct {
	kind     Kind
	reduce   Reduce
	typ      Type
	wire     Wire
	root     uint16
	group    uint32
	src, dst span
	residual uint64 // 0: none
	share    uint16
	name     string
	dims     []uint64
	parts    []uint64
}

func (a ask) encode(seq uint32) []byte {
	b := make([]byte, commandBytes)
	b[0], b[1], b[2], b[3] = byte(a.kind), byte(a.reduce), byte(a.typ), byte(a.wire)
	binary.LittleEndian.PutUint32(b[4:], seq)
	binary.LittleEndian.PutUint16(b[8:], a.root)
	b[10], b[11] = byte(len(a.name)), byte(len(a.dims))
	binary.LittleEndian.PutUint32(b[12:], a.group)
	residual := a.residual
	if residual == 0 {
		residual = noRegion
	}
	for i, v := range []uint64{a.src.off, a.dst.off, a.src.n, a.dst.n, residual} {
		binary.LittleEndian.PutUint64(b[16+8*i:], v)
	}
	binary.LittleEndian.PutUint16(b[56:], uint16(len(a.parts)))
	binary.LittleEndian.PutUint16(b[58:], a.share)
	b = append(b, a.name...)
	for _, list := range [][]uint64{a.dims, a.parts} {
		for _, v := range list {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}
