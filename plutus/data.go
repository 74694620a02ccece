package plutus

import (
	"fmt"
	"math/big"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Plutus Data as scripts see it. Everything is built afresh, so that what is encoded has the encoding of the
// serialiseData builtin; what is decoded may have any that the ledger takes.

func integer(n uint64) data.PlutusData { return data.NewInteger(new(big.Int).SetUint64(n)) }

func key(h chain.KeyHash) data.PlutusData { return data.NewConstr(0, data.NewByteString(h[:])) }

// addressData is a party's address: a payment key, with a stake key or none.
func addressData(a chain.Address) data.PlutusData {
	payment, _ := a.Key()
	stake, ok := a.StakeKey()
	if !ok {
		return data.NewConstr(0, key(payment), data.NewConstr(1))
	}
	return data.NewConstr(0, key(payment), data.NewConstr(0, data.NewConstr(0, key(stake))))
}

// fields are what constructor tag of d holds, if d is it with n fields.
func fields(d data.PlutusData, tag uint, n int) ([]data.PlutusData, bool) {
	c, ok := d.(*data.Constr)
	if !ok || c.Tag != tag || len(c.Fields) != n {
		return nil, false
	}
	return c.Fields, true
}

func readBytes(d data.PlutusData, n int) ([]byte, bool) {
	b, ok := d.(*data.ByteString)
	if !ok || len(b.Inner) != n {
		return nil, false
	}
	return b.Inner, true
}

func readUint(d data.PlutusData) (uint64, bool) {
	i, ok := d.(*data.Integer)
	if !ok || !i.Inner.IsUint64() {
		return 0, false
	}
	return i.Inner.Uint64(), true
}

func readKey(d data.PlutusData) (h chain.KeyHash, ok bool) {
	f, ok := fields(d, 0, 1)
	if !ok {
		return h, false
	}
	b, ok := readBytes(f[0], len(h))
	copy(h[:], b)
	return h, ok
}

func readAddress(d data.PlutusData, n chain.Network) (chain.Address, error) {
	bad := fmt.Errorf("the address is not a key's: %w", ErrLot)
	f, ok := fields(d, 0, 2)
	if !ok {
		return chain.Address{}, bad
	}
	payment, ok := readKey(f[0])
	if !ok {
		return chain.Address{}, bad
	}
	if _, none := fields(f[1], 1, 0); none {
		return chain.Enterprise(n, payment), nil
	}
	if f, ok = fields(f[1], 0, 1); !ok {
		return chain.Address{}, bad
	}
	if f, ok = fields(f[0], 0, 1); !ok {
		return chain.Address{}, bad
	}
	stake, ok := readKey(f[0])
	if !ok {
		return chain.Address{}, bad
	}
	return chain.Base(n, payment, stake), nil
}
