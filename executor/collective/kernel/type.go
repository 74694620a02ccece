package kernel

import "fmt"

// Type is what a vector's elements are.
type Type uint8

// The types, by the numbers they have on the wire.
const (
	F32  Type = 0
	F64  Type = 1
	F16  Type = 2
	BF16 Type = 3
	I32  Type = 4
	I64  Type = 5
	U8   Type = 6

	types = 7
)

// Valid says whether t is one of the types.
func (t Type) Valid() bool { return t < types }

// Size is the bytes of one element, or 0 for an unknown type.
func (t Type) Size() int {
	sizes := [types]int{4, 8, 2, 2, 4, 8, 1}
	if !t.Valid() {
		return 0
	}
	return sizes[t]
}

// Float says whether the type has NaN.
func (t Type) Float() bool { return t <= BF16 }

// String gives the type's name.
func (t Type) String() string {
	names := [types]string{"f32", "f64", "f16", "bf16", "i32", "i64", "u8"}
	if !t.Valid() {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return names[t]
}

// Op is how two elements become one.
type Op uint8

// The operations, by the numbers they have on the wire. Mean folds as Sum does; [Divide] makes it one.
const (
	Sum  Op = 0
	Mean Op = 1
	Min  Op = 2
	Max  Op = 3
	Prod Op = 4

	ops = 5
)

// Valid says whether o is one of the operations.
func (o Op) Valid() bool { return o < ops }

// String gives the operation's name.
func (o Op) String() string {
	names := [ops]string{"sum", "mean", "min", "max", "prod"}
	if !o.Valid() {
		return fmt.Sprintf("reduce %d", uint8(o))
	}
	return names[o]
}
