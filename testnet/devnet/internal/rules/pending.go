package rules

import (
	"sync"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// pending remembers, per stake credential, the last registration change that passed every rule. dingo overlays only
// UTxOs over its ledger state, so two transactions of one slot do not see each other's certificates.
type pending struct {
	mu   sync.Mutex
	last map[credential]change
}

type change struct {
	tx         lcommon.Blake2b256
	slot       uint64
	registered bool
}

func newPending() *pending { return &pending{last: map[credential]change{}} }

// race refuses a transaction that touches a credential whose registration another transaction of the slot changes.
func (p *pending) race(c *check, of lcommon.Credential) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := credentialOf(of)
	if q, ok := p.last[k]; ok && q.slot == c.slot && q.tx != c.tx.Hash() && q.registered != c.state.IsStakeCredentialRegistered(of) {
		return unsupported("order two changes of one credential in slot %d: %s, retry in the next slot", c.slot, k)
	}
	return nil
}

// remember records the registration changes of a transaction that passed; older slots' changes are forgotten, for the
// ledger state shows them by then.
func (p *pending) remember(c *check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, v := range p.last {
		if v.slot < c.slot {
			delete(p.last, k)
		}
	}
	for _, cert := range c.tx.Certificates() {
		if x, err := classify(cert); err == nil && x.kind != delegates {
			p.last[credentialOf(x.of)] = change{c.tx.Hash(), c.slot, x.kind == registers}
		}
	}
}
