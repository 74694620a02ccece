package index

import (
	"slices"
	"strings"

	"github.com/tallycompute/tally/chain"
)

// Credential is the payment part of addresses: a key's hash or a script's. Comparable.
type Credential struct {
	Script bool
	Hash   [28]byte
}

// Key is the credential of a payment key.
func Key(k chain.KeyHash) Credential { return Credential{Hash: k} }

// Script is the credential of a script. Watching it also watches what it mints as a policy.
func Script(s chain.ScriptHash) Credential { return Credential{Script: true, Hash: s} }

// PaymentOf is the credential of a's payment part.
func PaymentOf(a chain.Address) Credential {
	if s, ok := a.Script(); ok {
		return Script(s)
	}
	k, _ := a.Key()
	return Key(k)
}

func (c Credential) bytes() []byte {
	if c.Script {
		return append([]byte{1}, c.Hash[:]...)
	}
	return append([]byte{0}, c.Hash[:]...)
}

func (c Credential) String() string {
	if c.Script {
		return "script " + chain.ScriptHash(c.Hash).String()
	}
	return "key " + chain.KeyHash(c.Hash).String()
}

// watchText is the same for the same set, in whatever order.
func watchText(cs []Credential) string {
	var names []string
	for _, c := range cs {
		names = append(names, c.String())
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}
