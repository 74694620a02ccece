package chain

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// Purpose is what a redeemer is for (Conway CDDL, redeemer_tag).
type Purpose uint8

// The purposes used here.
const (
	PurposeSpend Purpose = 0
	PurposeMint  Purpose = 1
)

func (p Purpose) String() string {
	switch p {
	case PurposeSpend:
		return "spend"
	case PurposeMint:
		return "mint"
	}
	return fmt.Sprintf("purpose %d", uint8(p))
}

// RedeemerKey points to what a redeemer is for: the position of the input among the sorted inputs, of the policy
// among the sorted policies.
type RedeemerKey struct {
	Purpose Purpose
	Index   uint32
}

// String is "purpose#index".
func (k RedeemerKey) String() string { return fmt.Sprintf("%s#%d", k.Purpose, k.Index) }

// Redeemer is an argument to a script with the execution units it may use.
type Redeemer struct {
	RedeemerKey
	Data  []byte // Plutus Data, CBOR
	Units ExUnits
}

// Tx is a transaction whose body never changes: only witnesses are added. It is not safe for concurrent use.
type Tx struct {
	body      []byte
	aux       []byte // auxiliary data, CBOR; nil: none
	redeemers []Redeemer
	scripts   [][]byte
	witnesses map[KeyHash]witness
	needed    []KeyHash // nil until Require
	resolved  []UTxO
	built     bool
	foreign   *foreign // nil: in the canonical encoding
}

type witness struct {
	vkey [ed25519.PublicKeySize]byte
	sig  [ed25519.SignatureSize]byte
}

// HashKey is the hash of an Ed25519 verification key.
func HashKey(vkey []byte) (h KeyHash) {
	copy(h[:], blake2b224(vkey))
	return h
}

// HashScript is the hash of a Plutus V3 script, given as Output.Script has it.
func HashScript(script []byte) (h ScriptHash) {
	copy(h[:], blake2b224([]byte{3}, script))
	return h
}

func blake2b224(parts ...[]byte) []byte {
	h, err := blake2b.New(28, nil)
	if err != nil {
		panic(err) // 28 is a valid size and there is no key
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Body is the exact bytes of the body, which ID hashes and every witness signs.
func (t *Tx) Body() []byte { return bytes.Clone(t.body) }

// ID is the hash of the body.
func (t *Tx) ID() TxID { return blake2b.Sum256(t.body) }

// Inspect is the decoded view of the body.
func (t *Tx) Inspect() (TxBody, error) {
	if t.foreign != nil {
		return InspectAny(t.body)
	}
	return Inspect(t.body)
}

// canonical refuses what others encoded in their own way.
func (t *Tx) canonical() error {
	if t.foreign != nil {
		return fmt.Errorf("transaction %s is not in its canonical encoding: %w", t.ID(), ErrMalformed)
	}
	return nil
}

// Built says whether Balance made t in this process: it has not come from anyone else.
func (t *Tx) Built() bool { return t.built }

// Redeemers lists the redeemers by purpose and index.
func (t *Tx) Redeemers() []Redeemer { return slices.Clone(t.redeemers) }

// Units is the sum of the execution units the redeemers may use.
func (t *Tx) Units() (u ExUnits) {
	for _, r := range t.redeemers {
		u.Mem += r.Units.Mem
		u.Steps += r.Units.Steps
	}
	return u
}

// Scripts lists the attached Plutus V3 scripts.
func (t *Tx) Scripts() [][]byte { return slices.Clone(t.scripts) }

// Witnesses lists the hashes of the keys that have signed, sorted.
func (t *Tx) Witnesses() []KeyHash { return slices.SortedFunc(maps.Keys(t.witnesses), compareKeys) }

// AddWitness adds a signature after verifying it against the body's hash. ErrMalformed and, as a RuleError,
// InvalidWitnessesUTXOW: it does not verify.
func (t *Tx) AddWitness(vkey, sig []byte) error {
	id := t.ID()
	if len(vkey) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize || !ed25519.Verify(vkey, id[:], sig) {
		rule := &RuleError{"InvalidWitnessesUTXOW", HashKey(vkey).String()}
		return fmt.Errorf("witness for transaction %s does not verify: %w: %w", id, ErrMalformed, rule)
	}
	var w witness
	copy(w.vkey[:], vkey)
	copy(w.sig[:], sig)
	if t.witnesses == nil {
		t.witnesses = map[KeyHash]witness{}
	}
	t.witnesses[HashKey(vkey)] = w
	return nil
}

// Witness is the verification key and signature of k, if it has signed.
func (t *Tx) Witness(k KeyHash) (vkey, sig []byte, ok bool) {
	w, ok := t.witnesses[k]
	return w.vkey[:], w.sig[:], ok
}

// Require tells t what its inputs are, from which MissingWitnesses follows; Balance has done it. ErrMalformed: an
// input, collateral or reference of t is not among utxos.
func (t *Tx) Require(utxos []UTxO) error {
	b, err := t.Inspect()
	if err != nil {
		return err
	}
	byRef := indexUTxOs(utxos)
	var resolved []UTxO
	for _, ref := range slices.Concat(b.Inputs, b.Collateral, b.References) {
		u, ok := byRef[ref]
		if !ok {
			return fmt.Errorf("transaction %s: input %s is unknown: %w", b.ID, ref, ErrMalformed)
		}
		resolved = append(resolved, u)
	}
	t.resolved, t.needed = resolved, neededKeys(&b, byRef)
	return nil
}

// Resolved lists the outputs that t spends, puts up as collateral or refers to, once Require knows them.
func (t *Tx) Resolved() []UTxO { return slices.Clone(t.resolved) }

// Needed lists the keys that must sign, sorted; nil before Require.
func (t *Tx) Needed() []KeyHash { return slices.Clone(t.needed) }

// MissingWitnesses lists the keys that must sign and have not, sorted. It needs Require.
func (t *Tx) MissingWitnesses() []KeyHash {
	var out []KeyHash
	for _, k := range t.needed {
		if _, ok := t.witnesses[k]; !ok {
			out = append(out, k)
		}
	}
	return out
}

// neededKeys lists the keys whose signatures the ledger asks for: of spent outputs, of collateral, required signers.
func neededKeys(b *TxBody, utxos map[OutRef]UTxO) []KeyHash {
	keys := slices.Clone(b.Signers)
	for _, ref := range slices.Concat(b.Inputs, b.Collateral) {
		if k, ok := utxos[ref].Address.Key(); ok {
			keys = append(keys, k)
		}
	}
	return sortedKeys(keys)
}

func indexUTxOs(us []UTxO) map[OutRef]UTxO {
	m := make(map[OutRef]UTxO, len(us))
	for _, u := range us {
		m[u.Ref] = u
	}
	return m
}
