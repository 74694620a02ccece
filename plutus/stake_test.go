package plutus

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// taken is what a verdict takes of two stakes.
const (
	firstStake  = 30_000_000
	secondStake = 20_000_000
	taken       = 40_000_000
)

// stake is an output of provider i's, made by a transaction that n tells apart.
func (w *world) stake(n byte, i int, untx uint64, since chain.Time) Stake {
	s := Stake{Owner: w.providers[i].Hash, Since: since, UNTX: untx}
	s.UTxO.Value.Coin = ada
	o, err := w.stakeOutput(s)
	if err != nil {
		panic(err)
	}
	s.UTxO = w.place(n, o)
	return s
}

// spendStake adds a stake to a draft's inputs.
func (w *world) spendStake(d *chain.Draft, s Stake, action uint) {
	d.Inputs = append(d.Inputs, chain.Input{UTxO: s.UTxO, Redeemer: raw(data.NewConstr(action))})
	d.Scripts = append(d.Scripts, w.StakeScript)
}

func (w *world) verdictOfStakes(tb testing.TB) chain.Draft {
	tb.Helper()
	l := w.disputedLot(tb)
	v := Verdict{AwardUNTX: award, SlashUNTX: slash, TakenUNTX: taken}
	for _, n := range attesterNames[:2] {
		v.Signatures = append(v.Signatures, w.Attest(signer(n), l, award, slash, taken))
	}
	stakes := []Stake{w.stake(2, 0, secondStake, 0), w.stake(3, 0, firstStake, 0), w.stake(4, 1, 90_000_000, 0)}
	return must(w.Verdict(l, w.contested, v, w.frame(w.moments.verdict), stakes...))(tb)
}

func (w *world) unbond(tb testing.TB) chain.Draft {
	tb.Helper()
	f := w.frame(w.work)
	return must(w.Unbond(w.stake(2, 0, firstStake, 0), w.at(f.Until), w.ledger, f))(tb)
}

// matured is a moment since when a stake can be withdrawn that is unbonding at work.
func (w *world) matured() chain.Time { return w.at(w.work) - chain.Time(w.Params.UnbondMS) }

func (w *world) withdraw(tb testing.TB) chain.Draft {
	tb.Helper()
	stakes := []Stake{w.stake(2, 0, firstStake, w.matured()), w.stake(3, 0, secondStake, w.matured())}
	return must(w.Withdraw(stakes, w.frame(w.work)))(tb)
}

// TestReadStake: what is not exactly a stake of these contracts is none.
func TestReadStake(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	for _, s := range []Stake{w.stake(1, 0, 5, 0), w.stake(1, 1, 7, 99)} {
		got, err := w.ReadStake(s.UTxO)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%+v is read as %+v: %v", s, got, err)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Stake
		if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%s came back as %+v: %v", b, back, err)
		}
	}
	owner, policy := data.NewByteString(w.providers[0].Hash[:]), data.NewByteString(w.Policy[:])
	says := func(f ...data.PlutusData) func(*chain.UTxO) {
		return func(u *chain.UTxO) { u.Datum = raw(data.NewConstr(0, f...)) }
	}
	never := data.NewConstr(1)
	for name, f := range map[string]func(*chain.UTxO){
		"elsewhere":          func(u *chain.UTxO) { u.Address = w.Address },
		"a stake part":       func(u *chain.UTxO) { u.Address = withStakePart(w.Stake, w.requester.Hash) },
		"a reference script": func(u *chain.UTxO) { u.Script = []byte{1} },
		"no NTX":             func(u *chain.UTxO) { u.Value = chain.Coins(ada) },
		"dust":               func(u *chain.UTxO) { u.Value = u.Value.With(chain.AssetID{Name: "x"}, 1) },
		"no datum":           func(u *chain.UTxO) { u.Datum = nil },
		"a datum too long":   func(u *chain.UTxO) { u.Datum = make([]byte, maxDatum+1) },
		"a lot's datum":      func(u *chain.UTxO) { u.Datum = w.lotIn(1, 0, Open, w.terms).Datum },
		"an owner too short": says(data.NewByteString(w.providers[0].Hash[1:]), never, policy),
		"another policy":     says(owner, never, data.NewByteString(make([]byte, 28))),
		"no policy":          says(owner, never),
		"a negative time":    says(owner, data.NewConstr(0, data.NewInteger(bigInt(-1))), policy),
		"a time of zero":     says(owner, data.NewConstr(0, integer(0)), policy),
		"an endless time":    says(owner, data.NewConstr(0, integer(maxTime+1)), policy),
		"no time":            says(owner, data.NewConstr(0), policy),
		"a third state":      says(owner, data.NewConstr(2), policy),
	} {
		u := w.stake(1, 0, 5, 0).UTxO
		f(&u)
		if _, err := w.ReadStake(u); !errors.Is(err, ErrStake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCounted: the largest stakes that are bonded and large enough.
func TestCounted(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	var all []Stake
	for i := range byte(MaxStakes + 2) {
		all = append(all, w.stake(i, 0, 100+uint64(i), 0))
	}
	all = append(all, w.stake(50, 0, 9999, 1), w.stake(51, 0, 3, 0))
	if got, want := Counted(all, 4), uint64(102+103+104+105+106+107+108+109); got != want {
		t.Errorf("%d, want %d", got, want)
	}
	if got := Counted(all, 109); got != 109 {
		t.Errorf("of at least 109: %d", got)
	}
	if got := Counted(nil, 1); got != 0 {
		t.Errorf("of none: %d", got)
	}
}

// TestStakeDrafts: what cannot be is refused before anything is built.
func TestStakeDrafts(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	f := w.frame(w.work)
	l := w.disputedLot(t)
	decide := func(award, taken uint64, stakes ...Stake) error {
		v := Verdict{AwardUNTX: award, TakenUNTX: taken}
		for _, n := range attesterNames {
			v.Signatures = append(v.Signatures, w.Attest(signer(n), l, award, 0, taken))
		}
		_, err := w.Verdict(l, w.contested, v, f, stakes...)
		if verr := v.Verify(w.Contracts, l, w.contested); (verr == nil) != (taken <= atRisk && award < price) {
			t.Errorf("verdict of %d, %d: %v", award, taken, verr)
		}
		return err
	}
	bonded, unbonding := w.stake(1, 0, 5, 0), w.stake(2, 0, 5, 9)
	draft := func(_ chain.Draft, err error) error { return err }
	for name, err := range map[string]error{
		"stake nothing":                  draft(w.Deposit(bonded.Owner, 0, w.ledger, f)),
		"stake too much":                 draft(w.Deposit(bonded.Owner, maxQuantity+1, w.ledger, f)),
		"unbond twice":                   draft(w.Unbond(unbonding, 5, w.ledger, f)),
		"unbond at no time":              draft(w.Unbond(bonded, 0, w.ledger, f)),
		"withdraw a bonded stake":        draft(w.Withdraw([]Stake{bonded}, f)),
		"withdraw nothing":               draft(w.Withdraw(nil, f)),
		"withdraw of two":                draft(w.Withdraw([]Stake{unbonding, w.stake(3, 1, 5, 9)}, f)),
		"withdraw twice":                 draft(w.Withdraw([]Stake{unbonding, unbonding}, f)),
		"take more than is at risk":      decide(award, atRisk+1, w.stake(5, 0, atRisk+1, 0)),
		"take of a winner":               decide(price, 1, w.stake(5, 0, 9, 0)),
		"take more than there is":        decide(award, taken),
		"take of another's":              decide(award, 5, w.stake(5, 1, 9, 0)),
		"take more than the stakes hold": decide(award, 6, bonded),
	} {
		if !errors.Is(err, ErrDraft) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsLeft: a verdict takes whole stakes but for one, and what is left of that one is as it was, bonded or not; of
// two stakes that say different things, in whichever order they come.
func TestWhatIsLeft(t *testing.T) {
	for name, blueprint := range map[string][]byte{"silent": silentBlueprint, "traced": tracedBlueprint} {
		w := newWorld(t, blueprint)
		l := w.disputedLot(t)
		for _, since := range [][2]chain.Time{{0, 77}, {77, 0}, {77, 78}} {
			v := Verdict{AwardUNTX: award, TakenUNTX: taken}
			for _, n := range attesterNames {
				v.Signatures = append(v.Signatures, w.Attest(signer(n), l, award, 0, taken))
			}
			stakes := []Stake{w.stake(2, 0, secondStake, since[0]), w.stake(3, 0, firstStake, since[1])}
			d := must(w.Verdict(l, w.contested, v, w.frame(w.moments.verdict), stakes...))(t)
			if _, err := w.submit(d, w.stranger); err != nil {
				t.Fatal(name, w.Explain(err))
			}
			left, err := w.ReadStake(chain.UTxO{Output: d.Outputs[4]})
			if err != nil || left.Since != since[1] || left.UNTX != firstStake+secondStake-taken || left.UTxO.Value.Coin != 2*ada {
				t.Errorf("%s: left is %+v: %v", name, left, err)
			}
			o, err := w.stakeOutput(Stake{UTxO: left.UTxO, Owner: left.Owner, Since: since[0], UNTX: left.UNTX})
			if err != nil {
				t.Fatal(err)
			}
			d.Outputs[4] = o // as the other one
			_, err = w.submit(d, w.stranger)
			if got := label(w.Explain(err)); got != "stakes.stake" {
				t.Errorf("%s: as the other one: %q: %v", name, got, err)
			}
		}
	}
}

// TestWhatNoDraftSays bends what scripts see of transactions that pass: drafts have both ends of their range, and change.
func TestWhatNoDraftSays(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	const outputs, validity = 2, 7 // in the transaction's data, after the ledger's specification
	without := func(end int) func([]data.PlutusData) {
		return func(tx []data.PlutusData) {
			bounds, _ := fields(tx[validity], 0, 2)
			bounds[end] = data.NewConstr(0, data.NewConstr(uint(2*end)), data.NewConstr(1))
			tx[validity] = data.NewConstr(0, bounds...)
		}
	}
	for _, c := range []struct {
		want  string
		draft chain.Draft
		spoil func(*world, *chain.Draft)
		bend  func(tx []data.PlutusData)
	}{
		{"unbond.range", w.unbond(t), output(0, more(1)), without(1)},
		{"unbond.output", w.unbond(t), output(0, more(1)), func(tx []data.PlutusData) { tx[outputs] = data.NewList() }},
		{"withdraw.range", w.withdraw(t), func(_ *world, d *chain.Draft) { d.From-- }, without(0)},
		{"stakes.left", w.verdictOfStakes(t), output(4, more(1)), func(tx []data.PlutusData) {
			tx[outputs] = data.NewList(tx[outputs].(*data.List).Items[:4]...)
		}},
	} {
		c.spoil(w, &c.draft)
		_, err := w.submit(c.draft, w.stranger)
		var se *chain.ScriptError
		if !errors.As(err, &se) {
			t.Fatalf("%s: %v", c.want, err)
		}
		context, _ := fields(se.Context, 0, 3)
		c.bend(context[0].(*data.Constr).Fields)
		if got, err := lastTrace(w.traced[se.Script], se.Context); got != c.want {
			t.Errorf("%s: refused by %q: %v", c.want, got, err)
		}
	}
}

// TestDepositUnbond: what a deposit holds is enough to unbond it, and a stake that holds less can be unbonded too.
func TestDepositUnbond(t *testing.T) {
	w := newWorld(t, silentBlueprint)
	f := w.frame(w.work)
	d := must(w.Deposit(w.providers[0].Hash, firstStake, w.ledger, f))(t)
	if _, err := w.submit(d, w.stranger); err != nil {
		t.Fatal(err)
	}
	u := chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID{2}}, Output: d.Outputs[0]}
	for _, less := range []chain.Lovelace{0, 40_000} {
		poor := u
		poor.Value.Coin -= less
		s, err := w.ReadStake(poor)
		if err != nil || s.Owner != w.providers[0].Hash || s.Since != 0 || s.UNTX != firstStake {
			t.Fatalf("%+v: %v", s, err)
		}
		d := must(w.Unbond(s, w.at(f.Until), w.ledger, f))(t)
		if _, err := w.submit(d, w.providers[0]); err != nil || d.Outputs[0].Value.Coin != u.Value.Coin {
			t.Errorf("%d less: %d lovelace: %v", less, d.Outputs[0].Value.Coin, w.Explain(err))
		}
	}
}
