package main

import (
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// scriptFaults are what can be wrong with scripts, redeemers and their hashes.
func scriptFaults() []mutation {
	return []mutation{
		{"another script data hash", "PPViewHashesDontMatch", "PPViewHashesDontMatch", "Invalid script data hash", true, scripts(func(r *raw, _ *subject) bool {
			h := dec[[]byte](r.body[bodyScriptDataHash])
			h[0] ^= 1
			r.body[bodyScriptDataHash] = enc(h)
			return true
		})},
		{"no script data hash", "PPViewHashesDontMatch", "PPViewHashesDontMatch", "Invalid script data hash", true, scripts(func(r *raw, _ *subject) bool {
			delete(r.body, bodyScriptDataHash)
			return true
		})},
		{"a script data hash without scripts", "PPViewHashesDontMatch", "PPViewHashesDontMatch", "Invalid script data hash", true, padded(func(r *raw, s *subject) bool {
			r.body[bodyScriptDataHash] = enc(make([]byte, 32))
			return !s.script
		})},
		{"too few memory units", "ValidationTagMismatch", "ValidationTagMismatch", "Out of budget", false, unitsOf(func(x *redeemer, _ chain.Params) { x.Mem = 1 })},
		{"too few steps", "ValidationTagMismatch", "ValidationTagMismatch", "Out of budget", false, unitsOf(func(x *redeemer, _ chain.Params) { x.Steps = 1 })},
		{
			"more memory than a transaction may take", "ExUnitsTooBigUTxO", "ExUnitsTooBigUTxO", "exceed the maximum", false,
			unitsOf(func(x *redeemer, p chain.Params) { x.Mem = p.MaxTxUnits.Mem + 1 }),
		},
		{
			"more steps than a transaction may take", "ExUnitsTooBigUTxO", "ExUnitsTooBigUTxO", "", false,
			unitsOf(func(x *redeemer, p chain.Params) { x.Steps = p.MaxTxUnits.Steps + 1 }),
		},
		{"missing redeemer", "MissingRedeemers", "MissingRedeemers", "Exact set of redeemers", false, scripts(func(r *raw, s *subject) bool {
			r.redeemers = r.redeemers[1:]
			r.rehash(s.w.params)
			return len(r.redeemers) > 0
		})},
		{"redeemer for nothing", "ExtraRedeemers", "ExtraRedeemers", "Exact set of redeemers", false, scripts(padded(func(r *raw, s *subject) bool {
			x := r.redeemers[len(r.redeemers)-1]
			x.Index, x.Mem, x.Steps = 77, 1, 1
			r.redeemers = append(r.redeemers, x)
			r.rehash(s.w.params)
			return true
		}))},
		{"missing script", "MissingScriptWitnessesUTXOW", "MissingScriptWitnessesUTXOW", "Exact set of redeemers", false, scripts(func(r *raw, _ *subject) bool {
			if len(r.scripts) == 0 {
				delete(r.body, bodyReferences)
				return true
			}
			r.scripts = r.scripts[1:]
			return true
		})},
		{"script that nobody needs", "ExtraneousScriptWitnessesUTXOW", "ExtraneousScriptWitnessesUTXOW", "Missing or extra script hashes", false, padded(func(r *raw, _ *subject) bool {
			r.attach(chaintest.Accepts(99))
			return true
		})},
		{"script both attached and referenced", "ExtraneousScriptWitnessesUTXOW", "ExtraneousScriptWitnessesUTXOW", "Missing or extra script hashes", false, scripts(padded(func(r *raw, s *subject) bool {
			for _, u := range s.resolved {
				if u.Script != nil && slices.Contains(r.refs(bodyReferences), u.Ref) {
					r.attach(u.Script)
					return len(r.bytes()) < int(s.w.params.MaxTxSize)
				}
			}
			return false
		}))},
		{"upper bound past the horizon", "OutsideForecast", "OutsideForecast", "", false, scripts(padded(func(r *raw, s *subject) bool {
			r.body[bodyUntil] = enc(uint64(s.w.clock.Horizon) + 1_000_000)
			return true
		}))},
	}
}

// unitsOf changes the units of the first redeemer; the script data hash fits them.
func unitsOf(f func(*redeemer, chain.Params)) func(*raw, *subject) bool {
	return scripts(func(r *raw, s *subject) bool {
		before := r.redeemers[0]
		f(&r.redeemers[0], s.w.params)
		after := r.redeemers[0]
		r.rehash(s.w.params)
		used := chain.ExUnits{Mem: after.Mem - min(before.Mem, after.Mem), Steps: after.Steps - min(before.Steps, after.Steps)}
		return s.pad(r, uint64(s.w.params.MinFee(0, used, 0)))
	})
}

// allow gives every script a tenth more units.
func (r *raw) allow(p chain.Params) {
	for i := range r.redeemers {
		r.redeemers[i].Mem += r.redeemers[i].Mem / 10
		r.redeemers[i].Steps += r.redeemers[i].Steps / 10
	}
	r.rehash(p)
}

// attach adds a script, in order.
func (r *raw) attach(script []byte) {
	r.scripts = append(r.scripts, script)
	slices.SortFunc(r.scripts, slices.Compare)
}
