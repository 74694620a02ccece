package plutus

import (
	"fmt"

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
)

// kinds lists the transitions by their constructor in validators/lots.ak.
func kinds() []Kind {
	return []Kind{KindOpen, KindCommit, KindClaim, KindApprove, KindRefund, KindDecline}
}

// Action is a redeemer of the policy.
type Action struct {
	Kind  Kind
	Terms Terms    // all but Claim
	Root  [32]byte // Commit
}

// maxRedeemer bounds a redeemer in bytes: the largest one is about 210 in its shortest encoding; see maxDatum.
const maxRedeemer = 16 << 10

// Encode writes the redeemer as Plutus Data.
func (a Action) Encode() ([]byte, error) {
	var f []data.PlutusData
	if a.Kind != KindClaim {
		t, err := a.Terms.Pack()
		if err != nil {
			return nil, err
		}
		f = append(f, data.NewByteString(t))
	}
	if a.Kind == KindCommit {
		f = append(f, data.NewByteString(a.Root[:]))
	}
	for tag, k := range kinds() {
		if k == a.Kind {
			return chain.EncodeData(data.NewConstr(uint(tag), f...))
		}
	}
	return nil, fmt.Errorf("transition %q: %w", a.Kind, ErrRedeemer)
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
	want := map[Kind]int{KindClaim: 0, KindCommit: 2}
	if n, ok := want[a.Kind]; (ok && len(c.Fields) != n) || (!ok && len(c.Fields) != 1) {
		return Action{}, fmt.Errorf("redeemer of %d fields: %w", len(c.Fields), ErrRedeemer)
	}
	if a.Kind == KindClaim {
		return a, nil
	}
	packed, ok := readBytes(c.Fields[0], TermsSize)
	if !ok {
		return Action{}, fmt.Errorf("redeemer without terms: %w", ErrRedeemer)
	}
	if a.Terms, err = UnpackTerms(packed, n); err != nil {
		return Action{}, err
	}
	if a.Kind == KindCommit {
		root, ok := readBytes(c.Fields[1], len(a.Root))
		if !ok {
			return Action{}, fmt.Errorf("redeemer without root: %w", ErrRedeemer)
		}
		a.Root = [32]byte(root)
	}
	return a, nil
}

// lotRedeemer is the redeemer of a lot's input: the stub does not look at it.
func lotRedeemer() ([]byte, error) { return chain.EncodeData(data.NewConstr(0)) }
