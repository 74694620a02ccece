package chain

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// prepare checks the draft against itself, raises outputs to their minimum and chooses coins for every asset that
// is missing.
func (b *balancer) prepare(have []UTxO) error {
	for _, f := range []func() error{b.p.Validate, b.clk.Validate, b.checkBounds, b.prepareInputs, b.prepareMint, b.prepareOutputs, b.prepareScripts, b.prepareMessage} {
		if err := f(); err != nil {
			return err
		}
	}
	taken := map[OutRef]bool{}
	for _, u := range slices.Concat(b.spent(), b.References, b.coll) {
		taken[u.Ref] = true
	}
	b.pool = newCoinPool(have, taken)
	return b.coverAssets()
}

func (b *balancer) checkBounds() error {
	b.From = max(b.From, 1) // the body has no other way to say that there is a lower bound
	if b.Until <= b.From {
		return fmt.Errorf("valid from slot %d until %d: %w", b.From, b.Until, ErrMalformed)
	}
	if b.change.IsZero() {
		return fmt.Errorf("no change address: %w", ErrMalformed)
	}
	if _, ok := b.change.Key(); !ok {
		return fmt.Errorf("change to %s, which is not a key's: %w", b.change, ErrMalformed)
	}
	return nil
}

func (b *balancer) prepareInputs() error {
	seen := map[OutRef]bool{}
	for _, in := range b.Inputs {
		_, isScript := in.Address.Script()
		switch {
		case seen[in.Ref]:
			return fmt.Errorf("input %s twice: %w", in.Ref, ErrMalformed)
		case in.Address.IsZero():
			return fmt.Errorf("input %s has no address: %w", in.Ref, ErrMalformed)
		case isScript != (in.Redeemer != nil):
			return fmt.Errorf("input %s: script %v, redeemer %v: %w", in.Ref, isScript, in.Redeemer != nil, ErrMalformed)
		}
		seen[in.Ref] = true
		if isScript {
			b.calls = append(b.calls, call{purpose: PurposeSpend, ref: in.Ref, data: in.Redeemer})
		}
	}
	for _, u := range b.References {
		if seen[u.Ref] {
			return &RuleError{"BabbageNonDisjointRefInputs", u.Ref.String()}
		}
	}
	return nil
}

func (b *balancer) prepareMint() error {
	b.minted = map[AssetID]int64{}
	seen := map[ScriptHash]bool{}
	for _, m := range b.Mint {
		if seen[m.Policy] || len(m.Assets) == 0 || m.Redeemer == nil {
			return fmt.Errorf("mint of policy %s: twice, without assets or without redeemer: %w", m.Policy, ErrMalformed)
		}
		seen[m.Policy] = true
		for name, q := range m.Assets {
			if q == 0 || len(name) > 32 {
				return fmt.Errorf("mint of %d of %s.%x: %w", q, m.Policy, name, ErrMalformed)
			}
			b.minted[AssetID{m.Policy, name}] = q
		}
		b.calls = append(b.calls, call{purpose: PurposeMint, policy: m.Policy, data: m.Redeemer})
	}
	for _, c := range b.calls {
		if _, err := DecodeData(c.data); err != nil {
			return fmt.Errorf("redeemer: %w", err)
		}
	}
	slices.SortFunc(b.calls, func(x, y call) int {
		return cmp.Or(cmp.Compare(x.purpose, y.purpose), x.ref.Compare(y.ref), bytes.Compare(x.policy[:], y.policy[:]))
	})
	return nil
}

func (b *balancer) prepareOutputs() error {
	for i, o := range b.Draft.Outputs {
		if o.Address.IsZero() {
			return fmt.Errorf("output %d has no address: %w", i, ErrMalformed)
		}
		for id, q := range o.Value.Assets {
			if q == 0 || len(id.Name) > 32 {
				return fmt.Errorf("output %d: %d of %s: %w", i, q, id, ErrMalformed)
			}
		}
		if o.Value.Coin == 0 {
			o.Value.Coin = b.p.MinCoin(o)
		}
		b.outputs = append(b.outputs, o)
	}
	return nil
}

// prepareScripts keeps those of the draft's scripts that must be attached: needed, and not on any input already.
func (b *balancer) prepareScripts() error {
	if len(b.calls) == 0 {
		return nil
	}
	given := map[ScriptHash]bool{}
	for _, u := range slices.Concat(b.spent(), b.References) {
		if u.Script != nil {
			given[HashScript(u.Script)] = true
		}
	}
	attach := map[ScriptHash][]byte{}
	for _, s := range b.Scripts {
		attach[HashScript(s)] = s
	}
	spent := indexUTxOs(b.spent())
	for _, c := range b.calls {
		h := c.policy
		if c.purpose == PurposeSpend {
			h, _ = spent[c.ref].Address.Script()
		}
		if given[h] {
			continue
		}
		s, ok := attach[h]
		if !ok {
			return &RuleError{"MissingScriptWitnessesUTXOW", h.String()}
		}
		given[h] = true
		b.scripts = append(b.scripts, s)
	}
	slices.SortFunc(b.scripts, bytes.Compare)
	return nil
}

func (b *balancer) prepareMessage() (err error) {
	if len(b.Message) > 0 {
		b.aux, err = encodeMessage(b.Message)
	}
	return err
}

func hashOf(b []byte) *Hash256 {
	if b == nil {
		return nil
	}
	h := Hash256(blake2b.Sum256(b))
	return &h
}
