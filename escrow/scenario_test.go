package escrow

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/plutus"
)

// Scenarios are text. A line is what happens or what is expected:
//
//	terms decline_by=… commit_by=… bond_bps=… penalty_bps=… [dispute_bond=… dispute_cost=… slash_bps=… share_bps=…]
//	policy decline_lead=… commit_lead=… patience=… leave_step=… grace=…
//	open price=… bond=…  |  commit claim_at=…  |  dispute deadline=…
//	start price=… bond=… index=… of=…  |  leave|finish to=STATUS [index=… of=…] [claim_at=…]  |  settle|dissolve
//	approve|claim|refund|decline|redeem|close|verdict|concede|lapse [award=… slash=…] [provider=… requester=… payee=…]
//	fact inputs | fact result at=… | fact verified | fact faulty | fact voucher | fact verdict | fact concede
//	due requester|provider now=… → TRANSITION [then=…] | nothing [then=…]
//	state STATUS
//	refused: LINE            the event must not be possible
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			runScenario(t, f)
		})
	}
}

type scenario struct {
	lot    Lot
	terms  plutus.Terms
	policy Policy
	facts  Facts
	tx     byte
}

func runScenario(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	s := &scenario{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "refused:"); ok {
			before := s.lot
			if err := s.do(strings.Fields(rest)); err == nil {
				t.Fatalf("%s:%d: %q was possible", file, n, rest)
			}
			s.lot = before
			continue
		}
		if err := s.do(strings.Fields(line)); err != nil {
			t.Fatalf("%s:%d: %v", file, n, err)
		}
	}
}

func (s *scenario) do(words []string) error {
	args := map[string]int64{}
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok && k != "to" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return err
			}
			args[k] = n
		}
	}
	switch words[0] {
	case "terms":
		s.terms = plutus.Terms{
			DeclineBy: chain.Time(args["decline_by"]), CommitBy: chain.Time(args["commit_by"]),
			BondBps: uint16(args["bond_bps"]), PenaltyBps: uint16(args["penalty_bps"]),
			Disputes: plutus.Disputes{
				BondUNTX: uint64(args["dispute_bond"]), CostUNTX: uint64(args["dispute_cost"]),
				SlashBps: uint16(args["slash_bps"]), ShareBps: uint16(args["share_bps"]),
			},
		}
		return nil
	case "policy":
		s.policy = Policy{
			DeclineLead: args["decline_lead"], CommitLead: args["commit_lead"], Patience: args["patience"],
			LeaveStep: args["leave_step"], Meeting: args["meeting"], Grace: args["grace"],
		}
		return nil
	case "fact":
		switch words[1] {
		case "inputs":
			s.facts.InputsReady = true
		case "result":
			s.facts.Result, s.facts.ResultAt = &[32]byte{1}, chain.Time(args["at"])
		case "verified":
			s.facts.Verified = true
		case "faulty":
			s.facts.Faulty = true
		case "voucher":
			s.facts.Voucher = &plutus.Voucher{}
		case "verdict":
			s.facts.Verdict = &plutus.Verdict{}
		case "concede":
			s.facts.Concede = true
		default:
			return fmt.Errorf("no such fact: %s", words[1])
		}
		return nil
	case "state":
		if s.lot.Status.String() != words[1] {
			return fmt.Errorf("state is %s, not %s", s.lot.Status, words[1])
		}
		return nil
	case "due":
		return s.due(words, args)
	case "meeting":
		return s.meeting(words[3], chain.Time(args["now"]))
	}
	to := Absent
	for _, w := range words {
		if name, ok := strings.CutPrefix(w, "to="); ok {
			if err := to.UnmarshalText([]byte(name)); err != nil {
				return err
			}
		}
	}
	return s.event(Kind(words[0]), to, args)
}

// meeting says what the provider does about one: calls it, comes to it, or neither.
func (s *scenario) meeting(want string, now chain.Time) error {
	does := "stays"
	switch {
	case gathers(s.lot, s.facts, s.policy, now):
		does = "calls"
	case Joins(s.lot, s.facts, s.policy, now):
		does = "comes"
	}
	if does != want {
		return fmt.Errorf("the provider %s", does)
	}
	return nil
}

func (s *scenario) due(words []string, args map[string]int64) error {
	role := Requester
	if words[1] == "provider" {
		role = Provider
	}
	kind, then := Due(role, s.lot, s.facts, s.policy, chain.Time(args["now"]))
	want := Kind(words[4])
	if want == "nothing" {
		want = ""
	}
	if kind != want || then != chain.Time(args["then"]) {
		return fmt.Errorf("due is %q then %d", kind, then)
	}
	return nil
}

func (s *scenario) event(k Kind, to Status, args map[string]int64) error {
	s.tx++
	e := Event{Kind: k, To: to, Tx: chain.TxID{s.tx}, Slot: chain.Slot(s.tx)}
	e.Place = plutus.Place{Index: int(args["index"]), Of: int(args["of"])}
	switch {
	case to == Open || to == Sliced || to == Committed:
		e.Ref = chain.OutRef{Tx: e.Tx}
		k = KindLeave
	}
	switch k {
	case KindLeave:
		e.Root, e.ClaimAt = [32]byte{1}, chain.Time(args["claim_at"])
	case KindOpen, KindStart:
		e.Terms, e.PriceUNTX, e.BondUNTX = s.terms, uint64(args["price"]), uint64(args["bond"])
		e.Ref = chain.OutRef{Tx: e.Tx}
	case KindCommit:
		e.Root, e.ClaimAt, e.Ref = [32]byte{1}, chain.Time(args["claim_at"]), chain.OutRef{Tx: e.Tx}
	case KindDispute:
		e.Deadline, e.Ref = chain.Time(args["deadline"]), chain.OutRef{Tx: e.Tx}
	default:
		e.AwardUNTX = uint64(args["award"])
		due, err := s.lot.due(k, e.AwardUNTX, uint64(args["slash"]))
		if err != nil {
			return err
		}
		e.ToProviderUNTX, e.ToRequesterUNTX, e.ToPayeeUNTX, e.ToSinkUNTX = due.ProviderUNTX, due.RequesterUNTX, due.PayeeUNTX, due.SinkUNTX
		for name, to := range map[string]*uint64{"provider": &e.ToProviderUNTX, "requester": &e.ToRequesterUNTX, "payee": &e.ToPayeeUNTX} {
			if q, ok := args[name]; ok {
				*to = uint64(q)
			}
		}
	}
	l, err := Step(s.lot, e)
	if err != nil {
		return err
	}
	s.lot = l
	return nil
}
