package chain

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/common/script"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"github.com/blinklabs-io/gouroboros/ledger/shelley"
	"github.com/blinklabs-io/plutigo/cek"
	"github.com/blinklabs-io/plutigo/data"
	"github.com/blinklabs-io/plutigo/lang"
	"github.com/blinklabs-io/plutigo/syn"

	"github.com/blinklabs-io/gouroboros/ledger/babbage"
)

// ScriptError is a script that refused its transaction: which one, and what it traced before it did. It wraps
// ErrScript.
type ScriptError struct {
	Key    RedeemerKey
	Script ScriptHash
	Logs   []string // the script's traces, in order
	Cause  error    // the machine's error

	Context data.PlutusData // what the script was applied to: another build of it, run on the same, can say more
}

func (e *ScriptError) Error() string {
	s := fmt.Sprintf("%s (script %s): %v", e.Key, e.Script, e.Cause)
	if len(e.Logs) > 0 {
		s += "; traced: " + strings.Join(e.Logs, ", ")
	}
	return s
}

// Unwrap gives ErrScript and the cause.
func (e *ScriptError) Unwrap() []error { return []error{ErrScript, e.Cause} }

// evaluating guards plutigo 0.2.0, whose cost models share their tables: making one writes what others read.
var evaluating sync.Mutex

// Evaluate runs every script of tx and returns the exact units each takes, whatever its redeemer allows; the
// network's limit of a transaction bounds each of them. resolved must hold every input and reference.
func Evaluate(tx *Tx, resolved []UTxO, p Params, clk Clock) (map[RedeemerKey]ExUnits, error) {
	if len(tx.redeemers) == 0 {
		return map[RedeemerKey]ExUnits{}, nil
	}
	if err := tx.canonical(); err != nil {
		return nil, err
	}
	body, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	if err := translatable(body.Until, clk); err != nil {
		return nil, err
	}
	info, err := scriptInfo(tx, &body, resolved, clk)
	if err != nil {
		return nil, fmt.Errorf("script context of %s: %w", body.ID, err)
	}
	evaluating.Lock()
	defer evaluating.Unlock()
	ctx, err := cek.NewEvalContext(lang.LanguageVersionV3, cek.ProtoVersion{Major: p.ProtocolMajor, Minor: p.ProtocolMinor}, p.CostModelV3)
	if err != nil {
		return nil, fmt.Errorf("cost model: %w: %w", err, ErrMalformed)
	}
	scripts := scriptsOf(tx, &body, indexUTxOs(resolved))
	used := map[RedeemerKey]ExUnits{}
	for _, r := range info.Redeemers {
		key := RedeemerKey{Purpose(r.Value.Tag), r.Value.Index}
		if r.Key == nil {
			return nil, &RuleError{"ExtraRedeemers", key.String() + " points to nothing"}
		}
		hash := ScriptHash(r.Key.ScriptHash())
		code, ok := scripts[hash]
		if !ok {
			return nil, &RuleError{"MissingScriptWitnessesUTXOW", hash.String()}
		}
		context := script.NewScriptContextV3(info, r.Value, r.Key).ToPlutusData()
		units, logs, err := runV3(code, context, p.MaxTxUnits, ctx)
		if err != nil {
			return nil, &ScriptError{Key: key, Script: hash, Logs: logs, Cause: err, Context: context}
		}
		used[key] = units
	}
	return used, nil
}

// Trace runs a Plutus V3 script (one CBOR byte-string layer) on a context, without bounds, and gives what it traced.
// The error is the script's refusal; nil: it accepts.
func Trace(code []byte, context data.PlutusData) (logs []string, err error) {
	program, err := decodeScript(code)
	if err != nil {
		return nil, err
	}
	evaluating.Lock()
	defer evaluating.Unlock()
	m := cek.NewMachine[syn.DeBruijn](cek.LanguageVersionV3, 200, nil)
	m.ExBudget = cek.ExBudget{Mem: math.MaxInt64 / 2, Cpu: math.MaxInt64 / 2}
	_, err = m.Run(applied(program, context))
	return m.Logs, err
}

func decodeScript(code []byte) (*syn.Program[syn.DeBruijn], error) {
	r := reader{b: code}
	flat := r.bytes(MaxTxBytes)
	if err := r.end(); err != nil {
		return nil, err
	}
	p, err := syn.Decode[syn.DeBruijn](flat)
	if err != nil {
		return nil, fmt.Errorf("decode script: %w: %w", err, ErrMalformed)
	}
	if v := p.Version; v != (lang.LanguageVersion{1, 0, 0}) && v != (lang.LanguageVersion{1, 1, 0}) {
		return nil, fmt.Errorf("script of Plutus Core %v: %w", v, ErrMalformed)
	}
	return p, nil
}

func applied(p *syn.Program[syn.DeBruijn], context data.PlutusData) syn.Term[syn.DeBruijn] {
	return &syn.Apply[syn.DeBruijn]{Function: p.Term, Argument: &syn.Constant{Con: &syn.Data{Inner: context}}}
}

// scriptsOf finds the scripts a transaction may run: attached, or on a spent or referenced output.
func scriptsOf(tx *Tx, body *TxBody, utxos map[OutRef]UTxO) map[ScriptHash][]byte {
	m := map[ScriptHash][]byte{}
	for _, s := range tx.scripts {
		m[HashScript(s)] = s
	}
	for _, ref := range slices.Concat(body.Inputs, body.References) {
		if s := utxos[ref].Script; s != nil {
			m[HashScript(s)] = s
		}
	}
	return m
}

// scriptInfo builds what scripts see of the transaction. Datums and redeemers are taken in the one encoding of
// serialiseData, as the ledger does, whatever encoding they came in.
func scriptInfo(tx *Tx, body *TxBody, resolved []UTxO, clk Clock) (info script.TxInfoV3, err error) {
	ct, err := conway.NewConwayTransactionFromCbor(tx.Bytes())
	if err != nil {
		return info, fmt.Errorf("%w: %w", err, ErrMalformed)
	}
	for _, o := range ct.Outputs() {
		canonicalDatum(o)
	}
	for k, v := range ct.WitnessSet.WsRedeemers.Redeemers {
		v.Data.Data = canonicalData(v.Data.Data)
		ct.WitnessSet.WsRedeemers.Redeemers[k] = v
	}
	byRef := indexUTxOs(resolved)
	var utxos []lcommon.Utxo
	for _, ref := range slices.Concat(body.Inputs, body.References) {
		u, ok := byRef[ref]
		if !ok {
			return info, fmt.Errorf("input %s is unknown: %w", ref, ErrMalformed)
		}
		o, err := babbage.NewBabbageTransactionOutputFromCbor(u.Encode())
		if err != nil {
			return info, fmt.Errorf("output %s: %w: %w", ref, err, ErrMalformed)
		}
		canonicalDatum(o)
		utxos = append(utxos, lcommon.Utxo{Id: shelley.NewShelleyTransactionInput(ref.Tx.String(), int(ref.Index)), Output: o})
	}
	return script.NewTxInfoV3FromTransaction(slots{clk}, ct, utxos)
}

// slots lets the ledger library ask our clock.
type slots struct{ Clock }

func (s slots) SlotToTime(n uint64) (time.Time, error) {
	return time.UnixMilli(int64(s.Clock.SlotToTime(Slot(n)))).UTC(), nil
}

func (s slots) TimeToSlot(t time.Time) (uint64, error) {
	n, err := s.Clock.TimeToSlot(Time(t.UnixMilli()))
	return uint64(n), err
}

func canonicalDatum(o lcommon.TransactionOutput) {
	if d := o.Datum(); d != nil && d.Data != nil {
		d.Data = canonicalData(d.Data)
	}
}

// canonicalData rebuilds d without the memory of how it was encoded that plutigo keeps and serialises by.
func canonicalData(d data.PlutusData) data.PlutusData {
	all := func(in []data.PlutusData) []data.PlutusData {
		out := make([]data.PlutusData, len(in))
		for i, x := range in {
			out[i] = canonicalData(x)
		}
		return out
	}
	switch x := d.(type) {
	case *data.Constr:
		return data.NewConstr(x.Tag, all(x.Fields)...)
	case *data.List:
		return data.NewList(all(x.Items)...)
	case *data.Map:
		pairs := make([][2]data.PlutusData, len(x.Pairs))
		for i, p := range x.Pairs {
			pairs[i] = [2]data.PlutusData{canonicalData(p[0]), canonicalData(p[1])}
		}
		return data.NewMap(pairs)
	}
	return d
}

var errNotUnit = errors.New("the script did not return unit")

// maxTraces bounds what is kept of a script's traces.
const maxTraces = 64

// runV3 applies a script to its context. A Plutus V3 script must return unit (CIP-117).
func runV3(code []byte, context data.PlutusData, limit ExUnits, ctx *cek.EvalContext) (used ExUnits, logs []string, err error) {
	program, err := decodeScript(code)
	if err != nil {
		return used, nil, err
	}
	m := cek.NewMachine[syn.DeBruijn](cek.LanguageVersionV3, 200, ctx)
	m.ExBudget = cek.ExBudget{Mem: int64(limit.Mem), Cpu: int64(limit.Steps)}
	start := m.ExBudget
	result, err := m.Run(applied(program, context))
	logs = slices.Clone(m.Logs[:min(len(m.Logs), maxTraces)])
	if err != nil {
		return used, logs, err
	}
	if c, ok := result.(*syn.Constant); !ok {
		return used, logs, errNotUnit
	} else if _, ok := c.Con.(*syn.Unit); !ok {
		return used, logs, errNotUnit
	}
	spent := start.Sub(&m.ExBudget)
	return ExUnits{uint64(spent.Mem), uint64(spent.Cpu)}, logs, nil
}
