// Package inside reaches what dingo v0.66.0 keeps to itself: unexported fields of its structs. Types are checked first, so
// that another version of dingo gives an error, not a wrong answer.
package inside

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Field is the place of the unexported field name, of type T, of the struct *of.
func Field[T, S any](of *S, name string) (*T, error) {
	f := reflect.ValueOf(of).Elem().FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		return nil, fmt.Errorf("%T has no field %s of type %v", of, name, reflect.TypeFor[T]())
	}
	return (*T)(unsafe.Pointer(f.UnsafeAddr())), nil
}
