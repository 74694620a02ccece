package plutus

import (
	"fmt"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Kind names a transition.
type Kind string

// The transitions, named as package escrow names them.
const (
	KindOpen    Kind = "open"
	KindCommit  Kind = "commit"
	KindApprove Kind = "approve"
	KindClaim   Kind = "claim"
	KindRefund  Kind = "refund"
	KindDecline Kind = "decline"
	KindClose   Kind = "close"
	KindRedeem  Kind = "redeem"
	KindDispute Kind = "dispute"
	KindVerdict Kind = "verdict"
	KindConcede Kind = "concede"
	KindLapse   Kind = "lapse"
	KindBorn    Kind = "born" // of lots out of a slice: the slices' redeemer says the rest
)

// kinds lists the transitions of lots by their constructor in validators/lots.ak.
func kinds() []Kind {
	return []Kind{
		KindOpen, KindCommit, KindClaim, KindApprove, KindRefund, KindDecline,
		KindClose, KindRedeem, KindDispute, KindVerdict, KindConcede, KindLapse, KindBorn,
	}
}

// Action is a redeemer of the policy.
type Action struct {
	Kind       Kind
	Terms      Terms       // all but Claim, Redeem and Born
	Root       [32]byte    // Commit
	AwardUNTX  uint64      // Close, Verdict: see Lot.Split
	SlashUNTX  uint64      // Verdict
	TakenUNTX  uint64      // Verdict: of the provider's stake
	Signatures []Signature // Verdict: of the attesters in order; zero: none of that one
	Earned     []Earning   // Redeem: of the lots in the order of their inputs
}

// Earning is a voucher in the form that the policy reads.
type Earning struct {
	Terms          Terms
	CumulativeUNTX uint64
	Signature      Signature
}

// TermsOf are the terms of a job that the redeemer names; none in a Claim, which pays all that its lots hold.
func (a Action) TermsOf(j JobID) Terms {
	for _, e := range a.Earned {
		if id, err := e.Terms.JobID(); err == nil && id == j {
			return e.Terms
		}
	}
	return a.Terms
}

// maxRedeemer bounds a redeemer in bytes; see maxDatum.
const maxRedeemer = 16 << 10

// Encode writes the redeemer as Plutus Data.
func (a Action) Encode() ([]byte, error) {
	tag := slices.Index(kinds(), a.Kind)
	if tag < 0 {
		return nil, fmt.Errorf("transition %q: %w", a.Kind, ErrRedeemer)
	}
	var f []data.PlutusData
	switch a.Kind {
	case KindClaim, KindBorn:
	case KindRedeem:
		var list []data.PlutusData
		for _, e := range a.Earned {
			t, err := e.Terms.Pack()
			if err != nil {
				return nil, err
			}
			list = append(list, data.NewConstr(0, data.NewByteString(t), integer(e.CumulativeUNTX), data.NewByteString(e.Signature[:])))
		}
		f = append(f, data.NewList(list...))
	default:
		t, err := a.Terms.Pack()
		if err != nil {
			return nil, err
		}
		f = append(f, data.NewByteString(t))
	}
	switch a.Kind {
	case KindCommit:
		f = append(f, data.NewByteString(a.Root[:]))
	case KindClose:
		f = append(f, integer(a.AwardUNTX))
	case KindVerdict:
		var list []data.PlutusData
		for _, s := range a.Signatures {
			if s == (Signature{}) {
				list = append(list, data.NewByteString(nil))
			} else {
				list = append(list, data.NewByteString(s[:]))
			}
		}
		f = append(f, integer(a.AwardUNTX), integer(a.SlashUNTX), integer(a.TakenUNTX), data.NewList(list...))
	}
	return chain.EncodeData(data.NewConstr(uint(tag), f...))
}

// DecodeAction reads a redeemer of the policy.
func DecodeAction(b []byte, n chain.Network) (Action, error) {
	if len(b) > maxRedeemer {
		return Action{}, fmt.Errorf("redeemer of %d bytes: %w", len(b), ErrRedeemer)
	}
	d, err := chain.DecodeData(b)
	if err != nil {
		return Action{}, fmt.Errorf("%w: %w", err, ErrRedeemer)
	}
	c, ok := d.(*data.Constr)
	if !ok || c.Tag >= uint(len(kinds())) {
		return Action{}, fmt.Errorf("redeemer %v: %w", d, ErrRedeemer)
	}
	a := Action{Kind: kinds()[c.Tag]}
	want := map[Kind]int{KindClaim: 0, KindBorn: 0, KindCommit: 2, KindClose: 2, KindVerdict: 5}
	if n, ok := want[a.Kind]; (ok && len(c.Fields) != n) || (!ok && len(c.Fields) != 1) {
		return Action{}, fmt.Errorf("%s of %d fields: %w", a.Kind, len(c.Fields), ErrRedeemer)
	}
	switch a.Kind {
	case KindClaim, KindBorn:
		return a, nil
	case KindRedeem:
		a.Earned, err = readEarnings(c.Fields[0], n)
		return a, err
	}
	if a.Terms, err = readTerms(c.Fields[0], n); err != nil {
		return Action{}, err
	}
	ok = true
	switch a.Kind {
	case KindCommit:
		var root []byte
		if root, ok = readBytes(c.Fields[1], len(a.Root)); ok {
			a.Root = [32]byte(root)
		}
	case KindClose:
		a.AwardUNTX, ok = readUint(c.Fields[1])
	case KindVerdict:
		for i, q := range []*uint64{&a.AwardUNTX, &a.SlashUNTX, &a.TakenUNTX} {
			var read bool
			*q, read = readUint(c.Fields[1+i])
			ok = ok && read
		}
		var read bool
		a.Signatures, read = readSignatures(c.Fields[4])
		ok = ok && read
	}
	if !ok {
		return Action{}, fmt.Errorf("what a %s says beside its terms: %w", a.Kind, ErrRedeemer)
	}
	return a, nil
}

func readTerms(d data.PlutusData, n chain.Network) (Terms, error) {
	b, ok := d.(*data.ByteString)
	if !ok {
		return Terms{}, fmt.Errorf("redeemer without terms: %w", ErrRedeemer)
	}
	return UnpackTerms(b.Inner, n)
}

func readEarnings(d data.PlutusData, n chain.Network) ([]Earning, error) {
	list, ok := d.(*data.List)
	if !ok || len(list.Items) == 0 {
		return nil, fmt.Errorf("no list of vouchers: %w", ErrRedeemer)
	}
	var all []Earning
	for _, item := range list.Items {
		f, ok := fields(item, 0, 3)
		if !ok {
			return nil, fmt.Errorf("a voucher %v: %w", item, ErrRedeemer)
		}
		t, err := readTerms(f[0], n)
		if err != nil {
			return nil, err
		}
		q, ok := readUint(f[1])
		s, ok2 := readBytes(f[2], len(Signature{}))
		if !ok || !ok2 {
			return nil, fmt.Errorf("a voucher's amount or signature: %w", ErrRedeemer)
		}
		all = append(all, Earning{Terms: t, CumulativeUNTX: q, Signature: Signature(s)})
	}
	return all, nil
}

// readSignatures reads the attesters' signatures; an empty string stands for none.
func readSignatures(d data.PlutusData) ([]Signature, bool) {
	list, ok := d.(*data.List)
	if !ok || len(list.Items) == 0 || len(list.Items) > MaxAttesters {
		return nil, false
	}
	var all []Signature
	for _, item := range list.Items {
		if _, none := readBytes(item, 0); none {
			all = append(all, Signature{})
			continue
		}
		s, ok := readBytes(item, len(Signature{}))
		if !ok || Signature(s) == (Signature{}) {
			return nil, false
		}
		all = append(all, Signature(s))
	}
	return all, true
}

// lotRedeemer is the redeemer of a lot's input: the stub does not look at it.
func lotRedeemer() ([]byte, error) { return chain.EncodeData(data.NewConstr(0)) }
