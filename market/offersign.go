package market

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// BindMessage is what a payment key signs to say that this peer speaks for it on the network with that magic:
// "tally/bind/1" ‖ magic (4 bytes, big-endian) ‖ peer id.
func BindMessage(magic uint32, id peer.ID) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(domainBind), magic), id...)
}

// SignOffer fills in o's peer, payment key and binding, and signs it. paymentSign signs BindMessage with the key of
// o.Payment and returns its Ed25519 verification key and the signature.
func SignOffer(o Offer, key crypto.PrivKey, paymentSign func(msg []byte) (vkey, sig []byte, err error)) ([]byte, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sign offer: %w", err)
	}
	o.Version, o.Peer = OfferVersion, id
	o.Images = slices.Compact(slices.Sorted(slices.Values(o.Images)))
	if o.PaymentKey, o.Binding, err = paymentSign(BindMessage(o.Magic, id)); err != nil {
		return nil, fmt.Errorf("sign offer with the payment key: %w", err)
	}
	if err := o.checkBinding(); err != nil {
		return nil, err
	}
	return seal(domainOffer, o, key, id)
}

// OpenOffer reads a signed offer and checks all of it: form, both signatures, network, and its time against now. An
// empty `from` accepts any peer's. Errors: ErrTooLarge, ErrMalformed, ErrSignature, ErrOtherPeer, ErrOtherNetwork,
// ErrExpired, ErrNotYetValid.
func OpenOffer(data []byte, now chain.Time, magic uint32, from peer.ID) (Offer, error) {
	o, err := unseal(domainOffer, data, func(o Offer) peer.ID { return o.Peer })
	if err != nil {
		return Offer{}, err
	}
	switch {
	case from != "" && o.Peer != from:
		return Offer{}, fmt.Errorf("offer of %s, expected %s: %w", o.Peer, from, ErrOtherPeer)
	case o.Magic != magic:
		return Offer{}, fmt.Errorf("offer of %s for network magic %d, this is %d: %w", o.Peer, o.Magic, magic, ErrOtherNetwork)
	}
	if err := o.checkBinding(); err != nil {
		return Offer{}, err
	}
	if err := checkTime("offer of "+o.Peer.String(), o.Issued, o.Expires, now); err != nil {
		return Offer{}, err
	}
	return o, nil
}

// checkBinding checks that the payment key is the address's and signed for the peer.
func (o Offer) checkBinding() error {
	return checkBinding(o.Payment, o.PaymentKey, o.Binding, o.Magic, o.Peer)
}

func checkBinding(payment chain.Address, vkey, sig []byte, magic uint32, id peer.ID) error {
	if err := checkVKey(payment, vkey); err != nil {
		return err
	}
	if !ed25519.Verify(vkey, BindMessage(magic, id), sig) {
		return fmt.Errorf("payment key of %s did not sign for peer %s: %w", payment, id, ErrSignature)
	}
	return nil
}

// checkVKey checks that vkey is the payment key of the address.
func checkVKey(payment chain.Address, vkey []byte) error {
	want, ok := payment.Key()
	h, err := blake2b.New(28, nil)
	if err != nil {
		return fmt.Errorf("blake2b-224: %w", err)
	}
	h.Write(vkey)
	if !ok || len(vkey) != ed25519.PublicKeySize || !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("key %x is not the payment key of %s: %w", vkey, payment, ErrSignature)
	}
	return nil
}

// checkTime checks now against [issued, expires), with some skew of clocks allowed at the beginning.
func checkTime(what string, issued, expires, now chain.Time) error {
	switch {
	case now >= expires:
		return fmt.Errorf("%s ended %s ago: %w", what, Millis(now-expires), ErrExpired)
	case issued > now+maxSkew:
		return fmt.Errorf("%s begins in %s: %w", what, Millis(issued-now), ErrNotYetValid)
	}
	return nil
}
