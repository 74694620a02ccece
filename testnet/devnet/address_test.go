package main

import (
	"encoding/hex"
	"slices"
	"testing"
)

// TestAddresses: an address is asked for whole. One that shares the payment key, and differs in its stake credential, its
// pointer or in having none, is another.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const ada = 1_000_000
	alice, bob := newKey(1), newKey(2)
	node := start(t, t.TempDir(), "--fund", fund(alice))
	c := dial(t, node.announcement)
	staked := func(header byte, by key) []byte {
		return slices.Concat([]byte{header}, bob.address()[1:], by.address()[1:])
	}
	paid := [][]byte{bob.address(), staked(0x00, alice), staked(0x00, bob), staked(0x20, alice), slices.Concat([]byte{0x70}, bob.address()[1:])}
	in := wallet(t, c, alice)
	d := pay(c, alice, in, bob.address(), 2*ada)
	outs := []any{out(alice.address(), in.lovelace-plainFee-2*ada-3*ada-4*ada-5*ada-6*ada)}
	for i, a := range paid {
		outs = append(outs, out(a, uint64((2+i)*ada)))
	}
	d.body[1] = outs
	c.accepted(t, d.bytes(t))
	for i, a := range paid {
		us := c.outputs(t, address(t, hex.EncodeToString(a)))
		if len(us) != 1 || us[0].lovelace != uint64((2+i)*ada) {
			t.Errorf("%x holds %+v, not %d ada", a, us, 2+i)
		}
	}
}
