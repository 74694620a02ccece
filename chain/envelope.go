package chain

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// TextEnvelope is the JSON form in which cardano-cli keeps keys, transactions and witnesses in files (cardano-api,
// TextEnvelope).
type TextEnvelope struct {
	Type        string `json:"type"`
	Description string `json:"description"`
	CBORHex     string `json:"cborHex"`
}

// MaxEnvelope bounds a file that may hold a text envelope or plain hex, in bytes.
const MaxEnvelope = 4 * MaxTxBytes

// Types of the envelopes that are written here; cardano-cli of every Conway release reads them.
const (
	envelopeUnsigned = "Unwitnessed Tx ConwayEra"
	envelopeSigned   = "Witnessed Tx ConwayEra"
	envelopeWitness  = "TxWitness ConwayEra"
)

// Envelope is t in a file, signed or not.
func (t *Tx) Envelope() TextEnvelope {
	kind := envelopeUnsigned
	if len(t.witnesses) > 0 {
		kind = envelopeSigned
	}
	return TextEnvelope{kind, "Ledger Cddl Format", hex.EncodeToString(t.Bytes())}
}

// ReadTx reads a transaction from a file: cardano-cli's text envelope, or the plain hex that wallets exchange
// (CIP-30), whoever encoded it: see DecodeAnyTx.
func ReadTx(file []byte) (*Tx, error) {
	b, err := envelopeBytes(file, "transaction", "Tx ConwayEra", envelopeUnsigned, envelopeSigned)
	if err != nil {
		return nil, err
	}
	return DecodeAnyTx(b)
}

// Signature is one key's signature of a transaction, with the key that verifies it.
type Signature struct{ VKey, Sig []byte }

func (s Signature) append(b []byte) []byte {
	return appendBytes(appendBytes(appendArray(b, 2), s.VKey), s.Sig)
}

// Envelope is a signature in a file of its own, as `cardano-cli transaction witness` writes it.
func (s Signature) Envelope() TextEnvelope {
	b := s.append(appendUint(appendArray(nil, 2), 0))
	return TextEnvelope{envelopeWitness, "Key Witness ShelleyEra", hex.EncodeToString(b)}
}

// WitnessSet is the hex of a witness set with signatures alone, as a CIP-30 wallet's signTx gives it.
func WitnessSet(sigs []Signature) string {
	b := appendSet(appendUint(appendMap(nil, 1), witnessKeys), len(sigs))
	for _, s := range sigs {
		b = s.append(b)
	}
	return hex.EncodeToString(b)
}

// AddWitnesses adds the signatures of a file to t: a text envelope with one witness, or the hex of a witness set as a
// CIP-30 wallet's signTx gives it, tagged or not. Each is verified against the body, of which not a byte changes.
// ErrMalformed: the file holds none, one does not verify, or it holds what is no signature of a key.
func (t *Tx) AddWitnesses(file []byte) error {
	b, err := envelopeBytes(file, "witness", envelopeWitness)
	if err != nil {
		return err
	}
	item, err := parseWire(b, MaxEnvelope)
	if err != nil {
		return fmt.Errorf("witness file: %w", err)
	}
	r := reader{b: item.plain(nil), free: true}
	var found []witness
	if r.peek()>>5 == majorMap {
		found = r.witnessSet()
	} else {
		found = []witness{r.oneWitness()}
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("witness file: %w", err)
	}
	if len(found) == 0 {
		return fmt.Errorf("witness file without signatures: %w", ErrMalformed)
	}
	for _, w := range found {
		if err := t.AddWitness(w.vkey[:], w.sig[:]); err != nil {
			return err
		}
	}
	return nil
}

// witnessSet reads the keys' signatures of a witness set. Anything else in it must be empty: the rest of the
// transaction is already known and does not change.
func (r *reader) witnessSet() (out []witness) {
	for range r.mapLen() {
		if k := r.uint(); r.err == nil && k != witnessKeys {
			r.fail("witness set with field %d: only keys' signatures are taken from it", k)
		}
		out = append(out, r.pairs()...)
	}
	return out
}

// pairs reads a set of signatures with their keys.
func (r *reader) pairs() (out []witness) {
	for n := r.set(); n > 0 && r.err == nil; n-- {
		out = append(out, r.pair())
	}
	return out
}

// oneWitness reads [0, [key, signature]], or the pair alone.
func (r *reader) oneWitness() witness {
	alone := *r
	if alone.array() == 2 && alone.peek()>>5 == majorBytes {
		return r.pair()
	}
	if r.array() != 2 || r.uint() != 0 {
		r.fail("not the signature of a key")
	}
	return r.pair()
}

func (r *reader) pair() (w witness) {
	if r.array() != 2 {
		r.fail("a witness is a pair")
	}
	r.fixed(w.vkey[:])
	r.fixed(w.sig[:])
	return w
}

// envelopeBytes is the CBOR in a file: a text envelope of one of the types, or plain hex.
func envelopeBytes(file []byte, what string, types ...string) ([]byte, error) {
	if len(file) > MaxEnvelope {
		return nil, fmt.Errorf("%s file of %d bytes, at most %d: %w", what, len(file), MaxEnvelope, ErrMalformed)
	}
	text := strings.TrimSpace(string(file))
	if strings.HasPrefix(text, "{") {
		var e TextEnvelope
		if err := json.NewDecoder(bytes.NewReader(file)).Decode(&e); err != nil {
			return nil, fmt.Errorf("%s file is not JSON: %w", what, ErrMalformed)
		}
		if !slices.Contains(types, e.Type) {
			return nil, fmt.Errorf("file of type %q is no %s of the Conway era: %w", e.Type, what, ErrMalformed)
		}
		text = e.CBORHex
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s file holds no hex: %w", what, ErrMalformed)
	}
	return b, nil
}
