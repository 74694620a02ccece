package market

import (
	"bytes"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Domains: what a key signs is domain ‖ body, so that no signature can be taken for one over something else. No
// domain is a prefix of another followed by a CBOR map's first byte.
const (
	domainOffer   = "tally/offer/1"
	domainBind    = "tally/bind/1"
	domainQuote   = "tally/quote/1"
	domainResult  = "tally/result/1"
	domainReceipt = "tally/receipt/1"
)

// sealed is the wire form of a signed document: its canonical bytes and an Ed25519 signature.
type sealed struct {
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"`
}

// sealOverhead is how much larger a signed document may be than the document, in bytes.
const sealOverhead = 128

// seal signs d with the key of peer `as`.
func seal(domain string, d document, key crypto.PrivKey, as peer.ID) ([]byte, error) {
	if !as.MatchesPrivateKey(key) || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("sign as %s: not the Ed25519 key of that peer: %w", as, ErrOtherPeer)
	}
	body, err := encode(d)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(append([]byte(domain), body...))
	if err != nil {
		return nil, fmt.Errorf("sign %T: %w", d, err)
	}
	return encMode.Marshal(sealed{Body: body, Signature: sig})
}

// unseal reads a signed D, and checks that the peer which signer names signed it.
func unseal[D document](domain string, data []byte, signer func(D) peer.ID) (D, error) {
	var none D
	if limit := none.limit() + sealOverhead; len(data) > limit {
		return none, fmt.Errorf("signed %T of %d bytes, at most %d: %w", none, len(data), limit, ErrTooLarge)
	}
	var s sealed
	if err := decMode.Unmarshal(data, &s); err != nil {
		return none, fmt.Errorf("decode signed %T: %w: %w", none, ErrMalformed, err)
	}
	if again, err := encMode.Marshal(s); err != nil || !bytes.Equal(again, data) {
		return none, fmt.Errorf("signed %T is not canonically encoded: %w", none, ErrMalformed)
	}
	d, err := decode[D](s.Body)
	if err != nil {
		return none, err
	}
	key, err := peerKey(signer(d))
	if err != nil {
		return none, err
	}
	if ok, err := key.Verify(append([]byte(domain), s.Body...), s.Signature); err != nil || !ok {
		return none, fmt.Errorf("%T of %s: %w", d, signer(d), ErrSignature)
	}
	return d, nil
}

// peerKey is the Ed25519 key that a peer id carries.
func peerKey(id peer.ID) (crypto.PubKey, error) {
	key, err := id.ExtractPublicKey()
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("peer id %s carries no Ed25519 key: %w", id, ErrMalformed)
	}
	return key, nil
}
