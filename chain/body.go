package chain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// MaxTxBytes bounds every transaction that is decoded; every Cardano network's own limit is lower.
const MaxTxBytes = 64 << 10

// Hash256 is a blake2b-256 hash of no particular meaning.
type Hash256 [32]byte

// TxBody is the decoded view of a transaction body (Conway CDDL): what a checklist looks at.
type TxBody struct {
	ID               TxID
	Inputs           []OutRef // in ledger order
	References       []OutRef // in ledger order
	Outputs          []UTxO
	Fee              Lovelace
	From, Until      Slot // valid in [From, Until); Until 0: no upper bound
	Mint             map[AssetID]int64
	Signers          []KeyHash // required signers, sorted
	Collateral       []OutRef
	CollateralReturn *Output
	TotalCollateral  *Lovelace
	NetworkID        *uint8
	ScriptDataHash   *Hash256
	AuxDataHash      *Hash256

	// What Tally never uses is only said to be there.
	HasCertificates, HasWithdrawals, HasVotes, HasProposals, HasTreasury, HasDonation bool

	raw   map[uint64][]byte // the fields of that last line
	notes []string          // what has no place above
}

// Fields of a transaction body that are read as they are.
const (
	fieldCertificates = 4
	fieldWithdrawals  = 5
	fieldVotes        = 19
	fieldProposals    = 20
	fieldTreasury     = 21
	fieldDonation     = 22
)

// Inspect decodes a transaction body. It takes only the canonical encoding (CIP-21: shortest numbers, definite
// lengths, sorted keys; sets with tag 258), so that nothing in the bytes escapes the view; a field it does not know
// is an error that names the field.
func Inspect(body []byte) (TxBody, error) {
	if len(body) > MaxTxBytes {
		return TxBody{}, fmt.Errorf("transaction body of %d bytes, at most %d: %w", len(body), MaxTxBytes, ErrMalformed)
	}
	t, err := readBody(&reader{b: body}, blake2b.Sum256(body))
	if err != nil {
		return TxBody{}, err
	}
	if !bytes.Equal(t.encode(), body) {
		return TxBody{}, fmt.Errorf("transaction body is not in its canonical encoding: %w", ErrMalformed)
	}
	return t, nil
}

// InspectAny decodes a body that others encoded, in any way the ledger takes: numbers of any length, indefinite
// lengths, nothing in order, sets without tag, outputs in their older forms. Still nothing in the bytes escapes the
// view: what has no place in it is in Extras, and what is not known or there twice is an error that names it.
func InspectAny(body []byte) (TxBody, error) {
	w, err := parseWire(body, MaxTxBytes)
	if err != nil {
		return TxBody{}, fmt.Errorf("transaction body: %w", err)
	}
	return readBody(&reader{b: w.plain(nil), free: true}, blake2b.Sum256(body))
}

func readBody(r *reader, id TxID) (TxBody, error) {
	t := TxBody{ID: id, raw: map[uint64][]byte{}}
	last, seen := -1, map[uint64]bool{}
	for range r.mapLen() {
		k := r.uint()
		if r.err == nil && (seen[k] || !r.free && int64(k) <= int64(last)) {
			r.fail("field %d after field %d", k, last)
		}
		if r.err != nil {
			break
		}
		last, seen[k] = int(k), true
		t.field(r, k)
	}
	if err := r.end(); err != nil {
		return TxBody{}, fmt.Errorf("transaction body: %w", err)
	}
	if len(t.Inputs) == 0 {
		return TxBody{}, fmt.Errorf("transaction body without inputs: %w", ErrMalformed)
	}
	t.notes = r.notes
	return t, nil
}

func (t *TxBody) field(r *reader, k uint64) {
	switch k {
	case 0:
		t.Inputs = r.refs()
	case 1:
		for i := range r.array() {
			if r.err != nil {
				return
			}
			r.what = fmt.Sprintf("output %d", i)
			t.Outputs = append(t.Outputs, UTxO{Ref: OutRef{t.ID, uint32(i)}, Output: r.output()})
		}
	case 2:
		t.Fee = Lovelace(r.uint())
	case 3:
		if t.Until = Slot(r.uint()); t.Until == 0 {
			r.fail("valid before slot 0 only")
		}
	case 7:
		t.AuxDataHash = new(Hash256)
		r.fixed(t.AuxDataHash[:])
	case 8:
		t.From = Slot(r.uint())
	case 9:
		t.Mint = assets(r, r.int)
	case 11:
		t.ScriptDataHash = new(Hash256)
		r.fixed(t.ScriptDataHash[:])
	case 13:
		t.Collateral = r.refs()
	case 14:
		for range r.set() {
			var h KeyHash
			r.fixed(h[:])
			t.Signers = append(t.Signers, h)
		}
		if sorted := sortedKeys(t.Signers); r.free && len(sorted) != len(t.Signers) {
			r.fail("a required signer twice")
		} else if r.free {
			t.Signers = sorted
		}
	case 15:
		n := uint8(min(r.uint(), 255))
		t.NetworkID = &n
	case 16:
		r.what = "the return of collateral"
		o := r.output()
		t.CollateralReturn = &o
	case 17:
		n := Lovelace(r.uint())
		t.TotalCollateral = &n
	case 18:
		t.References = r.refs()
	default:
		has := map[uint64]*bool{
			fieldCertificates: &t.HasCertificates, fieldWithdrawals: &t.HasWithdrawals, fieldVotes: &t.HasVotes,
			fieldProposals: &t.HasProposals, fieldTreasury: &t.HasTreasury, fieldDonation: &t.HasDonation,
		}[k]
		if has == nil {
			r.fail("unknown body field %d", k)
			return
		}
		*has = true
		t.raw[k] = r.item()
	}
}

// encode writes the body; sets are sorted, empty ones left out. Both bounds and the fee are always there except an
// absent upper bound.
func (t *TxBody) encode() []byte {
	f := map[uint64][]byte{
		0: appendRefs(nil, sortedRefs(t.Inputs)),
		2: appendUint(nil, uint64(t.Fee)),
	}
	outs := appendArray(nil, len(t.Outputs))
	for _, o := range t.Outputs {
		outs = o.append(outs)
	}
	f[1] = outs
	if t.Until != 0 {
		f[3] = appendUint(nil, uint64(t.Until))
	}
	if t.AuxDataHash != nil {
		f[7] = appendBytes(nil, t.AuxDataHash[:])
	}
	if t.From != 0 {
		f[8] = appendUint(nil, uint64(t.From))
	}
	if len(t.Mint) > 0 {
		f[9] = appendAssets(nil, t.Mint, appendInt)
	}
	if t.ScriptDataHash != nil {
		f[11] = appendBytes(nil, t.ScriptDataHash[:])
	}
	if len(t.Collateral) > 0 {
		f[13] = appendRefs(nil, sortedRefs(t.Collateral))
	}
	if len(t.Signers) > 0 {
		b := appendSet(nil, len(t.Signers))
		for _, k := range sortedKeys(t.Signers) {
			b = appendBytes(b, k[:])
		}
		f[14] = b
	}
	if t.NetworkID != nil {
		f[15] = appendUint(nil, uint64(*t.NetworkID))
	}
	if t.CollateralReturn != nil {
		f[16] = t.CollateralReturn.append(nil)
	}
	if t.TotalCollateral != nil {
		f[17] = appendUint(nil, uint64(*t.TotalCollateral))
	}
	if len(t.References) > 0 {
		f[18] = appendRefs(nil, sortedRefs(t.References))
	}
	maps.Copy(f, t.raw)
	b := appendMap(nil, len(f))
	for _, k := range slices.Sorted(maps.Keys(f)) {
		b = append(appendUint(b, k), f[k]...)
	}
	return b
}

func sortedRefs(rs []OutRef) []OutRef {
	rs = slices.SortedFunc(slices.Values(rs), OutRef.Compare)
	return slices.Compact(rs)
}

func compareKeys(a, b KeyHash) int { return bytes.Compare(a[:], b[:]) }

func sortedKeys(ks []KeyHash) []KeyHash {
	ks = slices.SortedFunc(slices.Values(ks), compareKeys)
	return slices.Compact(ks)
}
