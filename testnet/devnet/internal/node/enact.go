package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/blinklabs-io/dingo/database/models"
	"github.com/blinklabs-io/gouroboros/cbor"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
)

// What can be enacted beside the parameters that a chain can be made with.
const (
	versionName = "protocolMajor"
	costsName   = "costModelV3" // values parted by commas
)

const maxCosts = 1000 // values of a cost model

// Enactable are the names of what [Faults.Enact] changes.
func Enactable() []string {
	names := []string{versionName, costsName}
	for _, p := range parameters {
		names = append(names, p.name)
	}
	return names
}

// Enact changes protocol parameters, the Plutus V3 cost model or the protocol's major version with the next epoch, which it
// returns, as an enacted governance action does on a public network: the actions are put among those that dingo's ledger
// holds for ratified, and its own rules do the rest at the boundary. Nobody proposed them, nobody voted. Taking off the
// chain the block at which this was called revokes it.
func (f *Faults) Enact(ctx context.Context, values map[string]string) (epoch uint64, err error) {
	if f.settings.Producers > 1 {
		return 0, fmt.Errorf("%w: the other producer's ledger would know nothing of it", ErrFault)
	}
	f.pausing.Lock()
	defer f.pausing.Unlock()
	f.forger.Stop()
	epoch, err = f.enact(ctx, values)
	return epoch, errors.Join(err, f.forger.Start(f.ctx))
}

func (f *Faults) enact(ctx context.Context, values map[string]string) (uint64, error) {
	if err := f.settled(ctx); err != nil {
		return 0, err
	}
	current, ok := f.ledger.GetCurrentPParams().(*conway.ConwayProtocolParameters)
	if !ok {
		return 0, fmt.Errorf("%w: the ledger is not in the Conway era", ErrFault)
	}
	actions, err := actions(values, current)
	if err != nil {
		return 0, err
	}
	epoch, slot := f.ledger.CurrentEpoch(), f.chain.Tip().Point.Slot
	for i, a := range actions {
		raw, err := cbor.Encode(a.content)
		if err != nil {
			return 0, fmt.Errorf("encode the action: %w", err)
		}
		id := lcommon.Blake2b256Hash(fmt.Appendf(nil, "tally-devnet enacts %x in slot %d", raw, slot))
		err = f.ledger.Database().SetGovernanceProposal(&models.GovernanceProposal{
			TxHash: id[:], ActionIndex: uint32(i), ActionType: uint8(a.kind), GovActionCbor: raw,
			ProposedEpoch: epoch, RatifiedEpoch: &epoch, ExpiresEpoch: epoch + 1, AddedSlot: slot, RatifiedSlot: &slot,
			AnchorHash: make([]byte, len(id)), ReturnAddress: make([]byte, rewardAddressSize), // no deposit goes back
		}, nil)
		if err != nil {
			return 0, fmt.Errorf("record the action: %w", err)
		}
	}
	return epoch + 1, nil
}

const rewardAddressSize = 29 // bytes

// action is a governance action (Conway CDDL, gov_action).
type action struct {
	kind    lcommon.GovActionType
	content []any
}

// actions are those that change what values say.
func actions(values map[string]string, current *conway.ConwayProtocolParameters) (as []action, err error) {
	rest := maps.Clone(values)
	update := map[uint64]any{}
	if text, ok := rest[costsName]; ok {
		delete(rest, costsName)
		costs, err := numbers(text)
		if err != nil {
			return nil, err
		}
		update[18] = map[uint64][]int64{2: costs}
	}
	if text, ok := rest[versionName]; ok {
		delete(rest, versionName)
		major, err := strconv.ParseUint(text, 10, 8)
		if next := uint64(current.ProtocolVersion.Major) + 1; err != nil || major != next || major > maxProtocolMajor {
			return nil, fmt.Errorf("%w: from version %d the ledger goes on to the next, at most %d, not to %q", ErrFault, next-1, maxProtocolMajor, text)
		}
		as = append(as, action{lcommon.GovActionTypeHardForkInitiation, []any{uint(lcommon.GovActionTypeHardForkInitiation), nil, []any{major, 0}}})
	}
	if err := checkParams(rest); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFault, err)
	}
	pairs := map[uint64][]any{
		19: {current.ExecutionCosts.MemPrice, current.ExecutionCosts.StepPrice},
		20: {current.MaxTxExUnits.Memory, current.MaxTxExUnits.Steps},
		21: {current.MaxBlockExUnits.Memory, current.MaxBlockExUnits.Steps},
	}
	for _, p := range parameters {
		text, ok := rest[p.name]
		if !ok {
			continue
		}
		n, _ := new(big.Rat).SetString(text) // checked above
		var value any = n.Num().Uint64()
		if p.prices || p.name == "minFeeRefScriptCostPerByte" {
			value = &cbor.Rat{Rat: n}
		}
		if p.part > 0 {
			pairs[p.key][p.part-1] = value
			value = pairs[p.key]
		}
		update[p.key] = value
	}
	if len(update) > 0 {
		as = append(as, action{lcommon.GovActionTypeParameterChange, []any{uint(lcommon.GovActionTypeParameterChange), nil, update, nil}})
	}
	if len(as) == 0 {
		return nil, fmt.Errorf("%w: say what to change: %s", ErrFault, strings.Join(slices.Sorted(slices.Values(Enactable())), ", "))
	}
	return as, nil
}

// numbers reads a cost model.
func numbers(text string) (ns []int64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || len(ns) == maxCosts {
			return nil, fmt.Errorf("%w: a cost model is of whole numbers, %d at most, parted by commas: %q", ErrFault, maxCosts, part)
		}
		ns = append(ns, n)
	}
	return ns, nil
}
