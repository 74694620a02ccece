package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tallycompute/tally/chain"
)

// jury counts what the judges say of transactions and mutants. The judges of the child process answer later.
type jury struct {
	judges  *judges
	waiting chan func(answer)

	mu       sync.Mutex
	passed   int
	failures []failure
	shapes   map[string]*shapeCount
	order    []string
	noticed  map[string]*mutationCount

	blocks, reread int // read from the chain, and the transactions in them
}

type shapeCount struct{ transactions, mutants, scripts, bytes int }

type mutationCount struct{ tried, ours, node, scalus, rust int }

// maxWaiting is how far questions may run ahead of answers.
const maxWaiting = 10_000

func newJury(j *judges) *jury {
	return &jury{judges: j, waiting: make(chan func(answer), maxWaiting), shapes: map[string]*shapeCount{}, noticed: map[string]*mutationCount{}}
}

// listen hears the answers until no more questions come.
func (j *jury) listen() error {
	for hear := range j.waiting {
		a, err := j.judges.next()
		if err != nil {
			return err
		}
		hear(a)
	}
	return nil
}

// ask asks the judges and hands what they say to hear.
func (j *jury) ask(ctx context.Context, q question, hear func(answer)) error {
	select {
	case j.waiting <- hear:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return j.judges.ask(q)
}

// failure is what somebody complains of: a shape or a mutation, in a transaction.
type failure struct{ of, in, complaints string }

func (f failure) String() string { return fmt.Sprintf("%s, %s: %s", f.in, f.of, f.complaints) }

// rule notes one finding: no complaints is a pass.
func (j *jury) rule(of, in string, complaints []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(complaints) == 0 {
		j.passed++
		return
	}
	j.failures = append(j.failures, failure{of, in, strings.Join(complaints, "; ")})
}

// accepts holds the other judges' answers about a whole transaction against ours.
func accepts(a answer, tx *chain.Tx, body *chain.TxBody, used map[chain.RedeemerKey]chain.ExUnits) (complaints []string) {
	no := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if a.Scalus.Refused != "" {
		no("scalus refuses: %s", a.Scalus.Refused)
	}
	hash := ""
	if body.ScriptDataHash != nil {
		hash = hex.EncodeToString(body.ScriptDataHash[:])
	}
	for _, x := range []struct {
		name string
		opinion
	}{{"csl", a.CSL}, {"cml", a.CML}} {
		switch {
		case x.Refused != "":
			no("%s refuses: %s", x.name, x.Refused)
		case x.ID != body.ID.String():
			no("%s says the id is %s, we say %s", x.name, x.ID, body.ID)
		case x.Length != len(tx.Bytes()):
			no("%s writes it in %d bytes, we in %d", x.name, x.Length, len(tx.Bytes()))
		case x.ScriptDataHash != hash:
			no("%s says the script data hash is %s, we say %s", x.name, x.ScriptDataHash, hash)
		case !x.Signed:
			no("%s: a signature does not verify", x.name)
		}
	}
	for _, x := range []struct {
		name string
		opinion
	}{{"scalus", a.ScalusUnits}, {"uplc", a.UPLCUnits}} {
		if x.Refused != "" {
			no("%s does not evaluate it: %s", x.name, x.Refused)
			continue
		}
		if len(x.Units) != len(used) {
			no("%s evaluates %d scripts, we %d", x.name, len(x.Units), len(used))
		}
		for _, u := range x.Units {
			key := chain.RedeemerKey{Index: u.Index, Purpose: map[string]chain.Purpose{"mint": chain.PurposeMint}[u.Purpose]}
			if u.ExUnits != used[key] {
				no("%s says %s takes %v, we say %v", x.name, key, u.ExUnits, used[key])
			}
		}
	}
	return complaints
}

// isValidByte is what the libraries charge for the byte that the ledger leaves out.
func (w *world) isValidByte() chain.Lovelace { return w.params.FeePerByte }

// checkFee holds a fee against the libraries' least, which counts one byte more than the ledger.
func (w *world) checkFee(a answer, fee chain.Lovelace) (complaints []string) {
	for name, o := range map[string]opinion{"csl": a.CSL, "cml": a.CML} {
		if o.Refused == "" && fee+w.isValidByte() < o.MinFee {
			complaints = append(complaints, fmt.Sprintf("%s wants a fee of %d, have %d", name, o.MinFee, fee))
		}
	}
	return complaints
}

// rustNotices says whether the serialization libraries find a fault.
func (w *world) rustNotices(o opinion, r *raw) bool {
	hash := ""
	if b, ok := r.body[bodyScriptDataHash]; ok {
		hash = hex.EncodeToString(dec[[]byte](b))
	}
	return o.Refused != "" || !o.Signed || o.ScriptDataHash != hash || chain.Lovelace(r.fee())+w.isValidByte() < o.MinFee
}

// check is our own judgement of a transaction's bytes.
func (w *world) check(tx []byte, resolved []chain.UTxO) error {
	t, err := chain.DecodeTx(tx)
	if err != nil {
		return err
	}
	return chain.Check(t, resolved, w.params, w.clock, w.net, w.slot())
}

// complain is what is wrong with our and the node's answers to a mutant.
func (m mutation) complain(ours, theirs error) (complaints []string) {
	no := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	var rule *chain.RuleError
	switch {
	case ours == nil:
		no("we accept it")
	case m.rule == "" && !errors.Is(ours, chain.ErrMalformed):
		no("we refuse it for another reason: %v", ours)
	case m.rule != "" && (!errors.As(ours, &rule) || rule.Rule != m.rule):
		no("we do not name %s: %v", m.rule, ours)
	}
	switch {
	case m.node == "":
	case theirs == nil:
		no("the node accepts it")
	case !m.named(theirs.Error()):
		no("the node does not say %s: %v", m.node, theirs)
	}
	return complaints
}

// named says whether a reason of the node's is the mutation's.
func (m mutation) named(reason string) bool {
	return strings.Contains(reason, m.node) || m.rule != "" && strings.Contains(reason, m.rule)
}

// shape is a shape's counters.
func (j *jury) shape(name string) *shapeCount {
	if !slices.Contains(j.order, name) {
		j.order = append(j.order, name)
		j.shapes[name] = &shapeCount{}
	}
	return j.shapes[name]
}
