package plutus

import (
	"errors"
	"fmt"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Refusal is a transaction that the contracts refuse, with the check that failed. It wraps ErrRefused and the error
// that was explained.
type Refusal struct {
	Check string // the label in the contracts' source, such as "commit.time"
	Cause error
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s (check %q): %v", sentence(r.Check), r.Check, ErrRefused)
}

// Unwrap gives ErrRefused and the cause.
func (r *Refusal) Unwrap() []error { return []error{ErrRefused, r.Cause} }

// Explain names the check that failed, when err is one of our scripts refusing its transaction: the traced build runs
// on what the script saw, and the last label it traces is that of the check. Any other error comes back as it is.
func (c *Contracts) Explain(err error) error {
	var se *chain.ScriptError
	if !errors.As(err, &se) || se.Context == nil {
		return err
	}
	code, ours := c.traced[se.Script]
	if !ours {
		return err
	}
	label, err2 := lastTrace(code, se.Context)
	if err2 != nil {
		return err
	}
	return &Refusal{Check: label, Cause: err}
}

// lastTrace is the last label that a script traces before it refuses a context. An error: it does not refuse.
func lastTrace(code []byte, context data.PlutusData) (string, error) {
	logs, err := chain.Trace(code, context)
	switch {
	case err == nil:
		return "", fmt.Errorf("the traced build accepts: %w", ErrParams)
	case errors.Is(err, chain.ErrMalformed):
		return "", err
	case len(logs) == 0:
		return "redeemer", nil
	}
	return logs[len(logs)-1], nil
}

// sentence says what a check demands, for people.
func sentence(check string) string {
	if s, ok := sentences()[check]; ok {
		return s
	}
	return "a check of the contract failed"
}

func sentences() map[string]string {
	return map[string]string{
		"redeemer":               "the redeemer is none of the script's",
		"stub.policy":            "a lot can be spent only where the lots' policy runs",
		"tx.mint":                "the transaction must mint and burn lot tokens and nothing else",
		"tx.certificates":        "the transaction must carry no certificates",
		"tx.withdrawals":         "the transaction must withdraw no rewards",
		"tx.votes":               "the transaction must cast no votes",
		"tx.proposals":           "the transaction must make no proposals",
		"tx.redeemer":            "beside a slice no other script's output can be spent, and the lots' policy must have a redeemer",
		"tx.born":                "lots are born exactly where the slices' policy runs too",
		"tx.range":               "the validity range must have both ends and not be longer than the network allows",
		"items.datum":            "an output at the lots' address without a datum is no lot",
		"items.token":            "an output at the lots' address without a token is no lot",
		"items.redeemers":        "no script may run beside the lots that are settled",
		"items.one":              "this transition takes exactly one lot and no other script's output",
		"open.alone":             "an opening must spend no script's output",
		"open.terms":             "the packed terms are not of the known version or form",
		"open.seed":              "the opening must spend the seed input its terms name",
		"open.decline_by":        "the opening's validity must end before decline_by",
		"open.commit_by":         "decline_by must not be after commit_by",
		"open.horizon":           "commit_by is further away than the network allows",
		"open.review":            "the review window is shorter or longer than the network allows",
		"open.rates":             "the penalty must not exceed the bond, nor the bond the price",
		"open.lovelace":          "the lovelace of a lot is less than the network allows",
		"open.mint":              "the opening must mint one kind of token, open lots of its job",
		"open.lot":               "a lot's output must hold its lovelace, NTX and token and nothing else, at the lots' address",
		"open.datum":             "a lot must have an inline datum",
		"open.provider":          "a provider's address must be a payment key's, with a stake key or without a stake part",
		"open.ascending":         "there must be one lot for each provider, in ascending order of payment keys",
		"open.lot_lovelace":      "a lot holds less lovelace than the terms say",
		"open.value":             "a lot must hold NTX",
		"open.bond":              "a lot's bond must be its price times the bond rate, rounded down",
		"open.verdict":           "the verdict window is shorter or longer than the network allows",
		"open.cost":              "a dispute must cost something, and no more than the dispute bond",
		"open.share":             "the provider's share without a verdict must not exceed the price",
		"open.threshold":         "more than half of the attesters must decide",
		"open.attesters":         "the attesters' keys must be in ascending order, none twice",
		"open.forfeit":           "a lot's bond must pay for losing a dispute",
		"commit.time":            "it is too late to commit",
		"commit.root":            "a root has 32 bytes",
		"commit.mint":            "a commitment burns one open token and mints one committed token of its job",
		"commit.token":           "the lot is not open, or not of this job",
		"commit.signer":          "the lot's provider must sign",
		"commit.output":          "the first output must be the committed lot",
		"commit.lovelace":        "the committed lot must hold no less lovelace than before",
		"commit.lot":             "the committed lot must be the same lot with its root and claim time",
		"approve.signer":         "the requester must sign",
		"approve.token":          "a lot is not of this job, or in a state that cannot be approved",
		"approve.payout":         "each lot must be paid in full to its provider, in the order of the inputs",
		"approve.burn":           "exactly the tokens of the lots must be burned",
		"claim.output":           "the first output must pay the provider",
		"claim.signer":           "the provider must sign",
		"claim.state":            "a lot is not committed",
		"claim.provider":         "the lots must be of one provider",
		"claim.time":             "a lot's review is not over",
		"claim.burn":             "exactly the tokens of the lots must be burned",
		"claim.payout":           "the first output must pay all that the lots hold",
		"refund.time":            "a refund is possible only from commit_by on",
		"refund.output":          "the first output must pay the requester",
		"refund.token":           "a lot is not open, or not of this job",
		"refund.provider":        "each provider must get its lovelace and its bond less the penalty, in the order of the inputs",
		"refund.burn":            "exactly the tokens of the lots must be burned",
		"refund.requester":       "the requester must get the prices and penalties of all lots",
		"decline.time":           "it is too late to decline",
		"decline.burn":           "exactly the token of the lot must be burned",
		"decline.token":          "the lot is not open, or not of this job",
		"decline.signer":         "the lot's provider must sign",
		"decline.output":         "two outputs must pay the requester and the provider",
		"decline.requester":      "the requester must get the price",
		"decline.provider":       "the provider must get its lovelace and its whole bond",
		"close.requester_signer": "the requester must sign",
		"close.token":            "the lot is not of this job",
		"close.burn":             "exactly the token of the lot must be burned",
		"close.provider_signer":  "the lot's provider must sign",
		"close.award":            "the provider can get no more than all that the lot holds",
		"close.output":           "two outputs must pay the requester and the provider",
		"close.requester":        "the requester must get its lovelace and what is left",
		"close.provider":         "the provider must get its lovelace and its award",
		"redeem.output":          "the first output must pay the provider",
		"redeem.signer":          "the provider must sign",
		"redeem.burn":            "exactly the tokens of the lots must be burned",
		"redeem.payout":          "the first output must pay what the vouchers say, the bonds and the lovelace",
		"redeem.count":           "there must be a voucher for each lot",
		"redeem.left_over":       "there must be no more vouchers than lots",
		"redeem.token":           "a lot is not of its voucher's job, or in a state that cannot be redeemed",
		"redeem.provider":        "the lots must be of one provider",
		"redeem.terms":           "the job has no voucher key",
		"redeem.amount":          "a voucher can be of no more than the price",
		"redeem.signature":       "a voucher must be signed with the job's voucher key",
		"redeem.requester":       "each requester must get the rest of the price, in the order of the inputs",
		"dispute.signer":         "the requester must sign",
		"dispute.terms":          "the terms allow no disputes",
		"dispute.mint":           "a dispute burns one committed token and mints one disputed token of its job",
		"dispute.token":          "the lot is not committed, or not of this job",
		"dispute.time":           "it is too late to dispute",
		"dispute.output":         "the first output must be the disputed lot",
		"dispute.lovelace":       "the requester must add the lovelace of a lot",
		"dispute.lot":            "the disputed lot must be the same lot with the dispute bond and its deadline",
		"verdict.burn":           "exactly the token of the lot must be burned",
		"verdict.token":          "the lot is not disputed, or not of this job",
		"verdict.time":           "it is too late for a verdict",
		"verdict.signatures":     "enough of the job's attesters must have signed this verdict on this lot",
		"award.amount":           "the provider can be awarded no more than the price",
		"award.slash":            "no more can be slashed than the terms say, and nothing of a provider that won",
		"award.taken":            "no more can be taken of a stake than the terms say, and nothing of a provider that won",
		"award.output":           "three outputs must pay the requester, the provider and the payee of the cost",
		"award.requester":        "the requester must get its lovelace, the rest of the price and its dispute bond, less the cost if it lost",
		"award.provider":         "the provider must get its lovelace, its award and its bond, less cost and slash if it lost",
		"award.cost":             "the payee must get the dispute's cost",
		"award.sink":             "the sink must get what is slashed, of the bond and of the stake",
		"stakes.value":           "a stake must hold lovelace and NTX and nothing else",
		"stakes.owner":           "the stakes must be the provider's",
		"stakes.redeemers":       "no script may run beside the lot and its provider's stakes",
		"stakes.taken":           "the stakes must hold what is taken, and none of them be untouched",
		"stakes.left":            "an output behind those that pay must be what is left of the stakes",
		"stakes.lovelace":        "what is left of the stakes must hold all their lovelace",
		"stakes.stake":           "what is left of the stakes must be at their address and say what the last one said",
		"concede.burn":           "exactly the token of the lot must be burned",
		"concede.token":          "the lot is not disputed, or not of this job",
		"concede.signer":         "the requester must sign",
		"lapse.burn":             "exactly the token of the lot must be burned",
		"lapse.token":            "the lot is not disputed, or not of this job",
		"lapse.time":             "there can still be a verdict",
		"lapse.output":           "two outputs must pay the requester and the provider",
		"lapse.requester":        "the requester must get its lovelace, its part of the price and its dispute bond less the cost",
		"lapse.provider":         "the provider must get its lovelace, its part of the price, its bond and the dispute's cost",
		"stake.datum":            "an output at the stakes' address without a stake's datum is no stake",
		"unbond.signer":          "the stake's owner must sign",
		"unbond.since":           "the stake is unbonding already",
		"unbond.one":             "unbonding takes exactly one stake and no other script's output",
		"unbond.range":           "the validity range must have an end",
		"unbond.output":          "the first output must be the unbonding stake",
		"unbond.lovelace":        "the unbonding stake must hold no less lovelace than before",
		"unbond.datum":           "the unbonding stake must say its owner, the end of the validity range and its policy",
		"unbond.stake":           "the unbonding stake must be the same stake",
		"withdraw.signer":        "the stake's owner must sign",
		"withdraw.since":         "the stake is not unbonding",
		"withdraw.range":         "the validity range must have a beginning",
		"withdraw.time":          "the stake's delay is not over",
		"slash.policy":           "of a stake only a verdict of the policy it names can take",
		"slice.job":              "the slice is not of this job",
		"slice.list":             "the list is not the slice's",
		"start.kind":             "a record is of no known kind, or not whole",
		"start.ascending":        "there must be one share for each provider, in ascending order of payment keys",
		"start.price":            "a share must have a price",
		"start.count":            "a slice must have at least one share and at most thirty",
		"start.lovelace":         "a slice holds less lovelace than the terms say for each share",
		"start.datum":            "a slice must have an inline datum",
		"start.lots":             "a slice must name the lots' policy",
		"start.slice":            "a slice's output must hold its lovelace, NTX and token and nothing else, at the slices' address",
		"start.mint":             "the start must mint a token for each slice, the larger ones first",
		"settle.jobs":            "the terms of each job must be given, in the order of the slices",
		"settle.signer":          "the requesters must sign",
		"settle.payout":          "a payout must be the lovelace of a share and NTX and nothing else",
		"settle.payee":           "a payout must go to a payment key",
		"settle.stake":           "a payout's stake part must be a key",
		"settle.list":            "the payouts must be those of the slice's list, in its order",
		"settle.burn":            "exactly the tokens of the slices must be burned",
		"leave.time":             "it is too late to leave",
		"leave.lots":             "the lots must be of the policy that the slice names",
		"leave.index":            "who leaves must be in the list, in ascending order",
		"leave.signer":           "who leaves must sign",
		"leave.root":             "a root must have 32 bytes",
		"leave.lot":              "who leaves must get its share as a lot, open or committed, in the order of the list",
		"leave.mint":             "exactly the tokens of the lots must be minted",
		"leave.last":             "when nobody is left, the slice's token must be burned",
		"leave.change":           "the slice's token must become that of a slice with fewer shares",
		"leave.lovelace":         "the slice must keep the lovelace of who stays",
		"leave.slice":            "the slice must be the same slice without who leaves",
		"finish.signer":          "the requester must sign",
		"finish.time":            "it is too late to make lots, or too early again",
		"finish.lots":            "the lots must be of the policy that the slice names",
		"finish.burn":            "exactly the token of the slice must be burned",
		"finish.lot":             "a share that is not paid must be an open lot",
		"finish.payout":          "each share must be paid in full to its provider, in the order of the list, or become a lot",
		"finish.mint":            "exactly the tokens of the lots must be minted",
		"dissolve.time":          "a slice can be dissolved only from commit_by on",
		"dissolve.burn":          "exactly the token of the slice must be burned",
		"dissolve.requester":     "the requester must get the prices and penalties of all shares",
		"dissolve.provider":      "each provider must get its lovelace and its bond less the penalty, in the order of the list",
	}
}
