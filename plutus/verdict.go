package plutus

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tallycompute/tally/chain"
)

// verdictDomain begins what attesters sign: contracts/lib/verdict.ak has the layout.
const verdictDomain = "tally/verdict/1"

// Attestation is one attester's signature under a verdict.
type Attestation struct {
	Attester  PublicKey `json:"attester"`
	Signature Signature `json:"signature"`
}

// Verdict is what attesters decided on a disputed lot, and their signatures. It is of the very output that holds the lot.
type Verdict struct {
	AwardUNTX  uint64        `json:"award_untx"` // of the price, to the provider; less than the price: the provider lost
	SlashUNTX  uint64        `json:"slash_untx"` // of the bond, to the sink
	TakenUNTX  uint64        `json:"taken_untx"` // of the provider's stake, to the sink
	Signatures []Attestation `json:"signatures"`
}

// Attest signs a verdict on a lot, with the amounts that a Verdict has.
func (c *Contracts) Attest(k ed25519.PrivateKey, l Lot, award, slash, taken uint64) Attestation {
	return Attestation{Attester: KeyOf(k), Signature: sign(k, c.verdictMessage(l, award, slash, taken))}
}

func (c *Contracts) verdictMessage(l Lot, award, slash, taken uint64) []byte {
	b := append([]byte(verdictDomain), magic(c.Network)...)
	b = append(append(b, c.Policy[:]...), l.Ref.Tx[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(l.Ref.Index))
	b = append(b, l.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, award)
	b = binary.BigEndian.AppendUint64(b, slash)
	return binary.BigEndian.AppendUint64(b, taken)
}

// Verify says whether the contracts will carry a verdict out. ErrVerdict: they will not.
func (v Verdict) Verify(c *Contracts, l Lot, t Terms) error {
	_, err := v.signatures(c, l, t)
	if err == nil {
		_, err = l.Split(KindVerdict, t, v.AwardUNTX, v.SlashUNTX)
	}
	if err == nil {
		err = v.takes(l, t)
	}
	return err
}

// takes says whether as much may be taken of a stake.
func (v Verdict) takes(l Lot, t Terms) error {
	if v.TakenUNTX > t.Disputes.AtRiskUNTX || v.TakenUNTX > 0 && v.AwardUNTX == l.PriceUNTX {
		return fmt.Errorf("lot %s: %d of a stake of which %d are at risk, award %d of %d: %w",
			l.Ref, v.TakenUNTX, t.Disputes.AtRiskUNTX, v.AwardUNTX, l.PriceUNTX, ErrDraft)
	}
	return nil
}

// signatures are those of the job's attesters in order, as many as it takes; zero for the others.
func (v Verdict) signatures(c *Contracts, l Lot, t Terms) ([]Signature, error) {
	message := c.verdictMessage(l, v.AwardUNTX, v.SlashUNTX, v.TakenUNTX)
	missing := int(t.Disputes.Threshold)
	var all []Signature
	for _, k := range t.Disputes.Attesters.List() {
		i := slices.IndexFunc(v.Signatures, func(a Attestation) bool { return a.Attester == k && k.verifies(message, a.Signature) })
		if i < 0 || missing == 0 {
			all = append(all, Signature{})
			continue
		}
		all = append(all, v.Signatures[i].Signature)
		missing--
	}
	if len(all) == 0 || missing > 0 {
		return nil, fmt.Errorf("lot %s: %d of %d signatures are missing: %w", l.Ref, missing, t.Disputes.Threshold, ErrVerdict)
	}
	return all, nil
}

// Verdict is T6, by anyone, until the lot's deadline: what the attesters signed is paid, and whoever lost pays the
// dispute's cost. What they took of the provider's stake comes from its stakes, bonded or not, the largest first. The
// submitter gives the outputs of payee and sink their least lovelace.
func (c *Contracts) Verdict(l Lot, t Terms, v Verdict, f Frame, stakes ...Stake) (chain.Draft, error) {
	signatures, err := v.signatures(c, l, t)
	if err == nil {
		err = v.takes(l, t)
	}
	if err != nil {
		return chain.Draft{}, err
	}
	a := Action{Kind: KindVerdict, Terms: t, AwardUNTX: v.AwardUNTX, SlashUNTX: v.SlashUNTX, TakenUNTX: v.TakenUNTX, Signatures: signatures}
	d, err := c.end(l, t, a, f, Disputed)
	if err != nil || v.TakenUNTX == 0 {
		return d, err
	}
	return d, c.take(&d, l, v, f, stakes)
}
