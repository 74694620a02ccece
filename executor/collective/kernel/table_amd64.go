package kernel

import "golang.org/x/sys/cpu"

var hasLoops = cpu.X86.HasAVX2 && cpu.X86.HasF16C

// assembled are the folds in AVX2.
var assembled = [types][ops]func(dst, a, b *byte, n int){
	F32:  {f32Sum, f32Sum, f32Min, f32Max, f32Prod},
	F64:  {f64Sum, f64Sum, f64Min, f64Max, f64Prod},
	F16:  {f16Sum, f16Sum, f16Min, f16Max, f16Prod},
	BF16: {bf16Sum, bf16Sum, bf16Min, bf16Max, bf16Prod},
	I32:  {i32Sum, i32Sum, i32Min, i32Max, i32Prod},
	I64:  {i64Sum, i64Sum, i64Min, i64Max, i64Prod},
	U8:   {u8Sum, u8Sum, u8Min, u8Max, u8Prod},
}

var assembledWire = wireLoops{
	packBF16: packBF16, unpackBF16: unpackBF16, unpackBF16Past: unpackBF16Past, addPackBF16: addPackBF16,
	packInt8: packInt8, unpackInt8: unpackInt8, unpackInt8Past: unpackInt8Past, addInt8: addInt8,
	largest: largestF32, divide: divideF32,
}
