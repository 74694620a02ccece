package collective

import "github.com/tallycompute/tally/executor/collective/kernel"

// A halver rounds to bfloat16 and, if the operation has memory for it, remembers what was lost.
type halver struct {
	of  Operation
	sum []byte // a segment's
}

func newHalver(o Operation, segment int) halver {
	h := halver{of: o}
	if o.Residual != nil {
		h.sum = make([]byte, 2*segment)
	}
	return h
}

// pack rounds the source from a byte on, with what came if that is not nil, and divided.
func (h halver) pack(dst, came []byte, at, by int) {
	src := h.of.Src[at : at+2*len(dst)]
	if h.of.Residual == nil {
		if came == nil {
			kernel.PackBF16(dst, src)
			return
		}
		kernel.AddPackBF16(dst, src, came)
		if by > 1 {
			kernel.Divide(BF16, dst, by)
		}
		return
	}
	sum, residual := h.sum[:len(src)], h.of.Residual[at:at+len(src)]
	kernel.Fold(F32, Sum, sum, src, residual)
	if came != nil {
		kernel.UnpackBF16(residual, came, len(residual))
		kernel.Fold(F32, Sum, sum, sum, residual)
	}
	if by > 1 {
		kernel.Divide(F32, sum, by)
	}
	kernel.PackBF16(dst, sum)
	kernel.LostBF16(residual, sum, dst, by)
}
