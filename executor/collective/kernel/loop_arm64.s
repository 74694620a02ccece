#include "textflag.h"

// The assembler has no names for vector arithmetic of floats; these are the encodings of
//   FADD V0.4S, V0.4S, V4.4S   and so on (Arm Architecture Reference Manual, C7.2).
// Each function folds n bytes, a multiple of 32.

#define HEAD \
	MOVD dst+0(FP), R0 \
	MOVD a+8(FP), R1   \
	MOVD b+16(FP), R2  \
	MOVD n+24(FP), R3

#define LOAD \
	VLD1.P 32(R1), [V0.S4, V1.S4] \
	VLD1.P 32(R2), [V4.S4, V5.S4]

#define STORE \
	VST1.P [V0.S4, V1.S4], 32(R0) \
	SUB    $32, R3

// func f32SumNEON(dst, a, b *byte, n int)
TEXT ·f32SumNEON(SB), NOSPLIT, $0-32
	HEAD
again:
	CBZ  R3, over
	LOAD
	WORD $0x4E24D400 // FADD V4.4S, V0.4S, V0.4S
	WORD $0x4E25D421 // FADD V5.4S, V1.4S, V1.4S
	STORE
	B    again
over:
	RET

// func f32MinNEON(dst, a, b *byte, n int)
TEXT ·f32MinNEON(SB), NOSPLIT, $0-32
	HEAD
again:
	CBZ  R3, over
	LOAD
	WORD $0x4EA4F400 // FMIN V4.4S, V0.4S, V0.4S
	WORD $0x4EA5F421 // FMIN V5.4S, V1.4S, V1.4S
	STORE
	B    again
over:
	RET

// func f32MaxNEON(dst, a, b *byte, n int)
TEXT ·f32MaxNEON(SB), NOSPLIT, $0-32
	HEAD
again:
	CBZ  R3, over
	LOAD
	WORD $0x4E24F400 // FMAX V4.4S, V0.4S, V0.4S
	WORD $0x4E25F421 // FMAX V5.4S, V1.4S, V1.4S
	STORE
	B    again
over:
	RET

// func f32ProdNEON(dst, a, b *byte, n int)
TEXT ·f32ProdNEON(SB), NOSPLIT, $0-32
	HEAD
again:
	CBZ  R3, over
	LOAD
	WORD $0x6E24DC00 // FMUL V4.4S, V0.4S, V0.4S
	WORD $0x6E25DC21 // FMUL V5.4S, V1.4S, V1.4S
	STORE
	B    again
over:
	RET
