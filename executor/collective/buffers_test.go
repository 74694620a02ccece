package collective

import "testing"

// TestBuffers has operations one after another share one buffer, and as many at once have one each.
func TestBuffers(t *testing.T) {
	var b buffers
	same := func(x, y []byte) bool { return &x[:1][0] == &y[:1][0] }
	first := b.take(1000)
	b.give(first)
	if again := b.take(900); len(again) != 900 || !same(first, again) {
		t.Error("a buffer that is large enough is not taken again")
	}
	second := b.take(500) // beside it
	b.give(second)
	b.give(first)
	if small := b.take(400); !same(small, second) {
		t.Error("the smallest that is large enough is not the one that is taken")
	} else {
		b.give(small)
	}
	if large := b.take(5000); len(large) != 5000 || len(b.free) != 1 || !same(b.free[0], second) {
		t.Errorf("a larger one took the place of none: %d are left", len(b.free))
	}
}
