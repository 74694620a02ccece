package plutus

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// Stake is NTX that a provider puts at risk beside the bonds of its lots, in an output of its own.
type Stake struct {
	UTxO  chain.UTxO    `json:"utxo"`
	Owner chain.KeyHash `json:"owner"`              // payment key of the provider
	Since chain.Time    `json:"since_ms,omitempty"` // from when it is unbonding; zero: it is bonded
	UNTX  uint64        `json:"untx"`
}

// ReadStake reads an output as a stake of which these contracts' verdicts may take. ErrStake: it is none, whatever it
// looks like.
func (c *Contracts) ReadStake(u chain.UTxO) (Stake, error) {
	s := Stake{UTxO: u, UNTX: u.Value.Of(c.Params.NTX)}
	if u.Address != c.StakeAddress || u.Script != nil || s.UNTX == 0 || len(u.Value.Assets) != 1 {
		return Stake{}, fmt.Errorf("output %s, %d assets at %s: %w", u.Ref, len(u.Value.Assets), u.Address, ErrStake)
	}
	if err := s.readDatum(u.Datum, c.Policy); err != nil {
		return Stake{}, fmt.Errorf("output %s: %w", u.Ref, err)
	}
	return s, nil
}

func (s *Stake) readDatum(b []byte, policy chain.ScriptHash) error {
	if len(b) > maxDatum {
		return fmt.Errorf("datum of %d bytes: %w", len(b), ErrStake)
	}
	d, err := chain.DecodeData(b)
	if err != nil {
		return fmt.Errorf("datum: %w: %w", err, ErrStake)
	}
	f, ok := fields(d, 0, 3)
	if !ok {
		return fmt.Errorf("datum of another kind: %w", ErrStake)
	}
	owner, ok := readBytes(f[0], len(s.Owner))
	named, ok2 := readBytes(f[2], len(policy))
	if !ok || !ok2 || !bytes.Equal(named, policy[:]) {
		return fmt.Errorf("datum's owner, or its policy: %w", ErrStake)
	}
	s.Owner = chain.KeyHash(owner)
	if _, bonded := fields(f[1], 1, 0); bonded {
		return nil
	}
	since, ok := fields(f[1], 0, 1)
	if !ok {
		return fmt.Errorf("datum's time: %w", ErrStake)
	}
	at, ok := readUint(since[0])
	if !ok || at == 0 || at > maxTime {
		return fmt.Errorf("datum's time: %w", ErrStake)
	}
	s.Since = chain.Time(at)
	return nil
}

// datum is what the stake's output says beside its value.
func (s Stake) datum(policy chain.ScriptHash) ([]byte, error) {
	since := data.NewConstr(1)
	if s.Since != 0 {
		since = data.NewConstr(0, integer(uint64(s.Since)))
	}
	return chain.EncodeData(data.NewConstr(0, data.NewByteString(s.Owner[:]), since, data.NewByteString(policy[:])))
}

// stakeOutput is the stake on chain.
func (c *Contracts) stakeOutput(s Stake) (chain.Output, error) {
	d, err := s.datum(c.Policy)
	return chain.Output{Address: c.StakeAddress, Value: chain.Coins(s.UTxO.Value.Coin).With(c.Params.NTX, s.UNTX), Datum: d}, err
}

// stakeLovelace is enough for a stake in every state.
func (c *Contracts) stakeLovelace(s Stake, p chain.Params) (chain.Lovelace, error) {
	s.Since, s.UTxO.Value.Coin = maxTime, 1<<31
	o, err := c.stakeOutput(s)
	return p.MinCoin(o), err
}

// MaxStakes is how many stakes of an owner count: the largest.
const MaxStakes = 8

// Counted is how much the stakes of one owner count for: those that are bonded and hold at least a minimum, at most the
// MaxStakes largest.
func Counted(stakes []Stake, least uint64) (untx uint64) {
	n := 0
	for _, s := range largest(stakes) {
		if s.Since == 0 && s.UNTX >= least && n < MaxStakes {
			untx, n = untx+s.UNTX, n+1
		}
	}
	return untx
}

func largest(stakes []Stake) []Stake {
	return slices.SortedFunc(slices.Values(stakes), func(a, b Stake) int {
		return cmp.Or(cmp.Compare(b.UNTX, a.UNTX), a.UTxO.Ref.Compare(b.UTxO.Ref))
	})
}

// Deposit puts NTX at stake, with lovelace enough to unbond it later; chain.Balance adds the coins. Whoever pays, it is
// the owner's.
func (c *Contracts) Deposit(owner chain.KeyHash, untx uint64, p chain.Params, f Frame) (chain.Draft, error) {
	if untx == 0 || untx > maxQuantity {
		return chain.Draft{}, fmt.Errorf("stake of %d: %w", untx, ErrDraft)
	}
	s := Stake{Owner: owner, UNTX: untx}
	var err error
	if s.UTxO.Value.Coin, err = c.stakeLovelace(s, p); err != nil {
		return chain.Draft{}, err
	}
	o, err := c.stakeOutput(s)
	return chain.Draft{From: f.From, Until: f.Until, Outputs: []chain.Output{o}}, err
}

// Actions of the stakes' script, in the order of validators/stake.ak.
const (
	stakeUnbond = iota
	stakeWithdraw
	stakeSlash
)

// Unbond begins to take a stake back, by its owner: at since, which is the end of the frame's range. Until
// Params.UnbondMS later a verdict can still take it. The owner adds lovelace if the ledger wants more of it by now. The
// draft needs the owner's signature.
func (c *Contracts) Unbond(s Stake, since chain.Time, p chain.Params, f Frame) (chain.Draft, error) {
	if s.Since != 0 || since <= 0 {
		return chain.Draft{}, fmt.Errorf("unbond %s, unbonding since %d, from %d: %w", s.UTxO.Ref, s.Since, since, ErrDraft)
	}
	d := chain.Draft{From: f.From, Until: f.Until, Signers: []chain.KeyHash{s.Owner}}
	c.use(&d, f.References, c.StakeScript)
	if err := spendStake(&d, s, stakeUnbond); err != nil {
		return chain.Draft{}, err
	}
	least, err := c.stakeLovelace(s, p)
	if err != nil {
		return chain.Draft{}, err
	}
	s.Since, s.UTxO.Value.Coin = since, max(s.UTxO.Value.Coin, least)
	o, err := c.stakeOutput(s)
	d.Outputs = []chain.Output{o}
	return d, err
}

// Withdraw takes stakes of one owner back whose delay is over; chain.Balance gives what they hold as change. The draft
// needs the owner's signature.
func (c *Contracts) Withdraw(stakes []Stake, f Frame) (chain.Draft, error) {
	d := chain.Draft{From: f.From, Until: f.Until}
	c.use(&d, f.References, c.StakeScript)
	for _, s := range stakes {
		if s.Since == 0 || s.Owner != stakes[0].Owner {
			return chain.Draft{}, fmt.Errorf("withdraw %s of %s, unbonding since %d, beside one of %s: %w", s.UTxO.Ref, s.Owner, s.Since, stakes[0].Owner, ErrDraft)
		}
		if err := spendStake(&d, s, stakeWithdraw); err != nil {
			return chain.Draft{}, err
		}
		d.Signers = []chain.KeyHash{s.Owner}
	}
	if len(stakes) == 0 {
		return chain.Draft{}, fmt.Errorf("withdraw no stake: %w", ErrDraft)
	}
	return d, nil
}

// FreeAt is when the owner can withdraw an unbonding stake.
func (c *Contracts) FreeAt(s Stake) chain.Time { return s.Since + chain.Time(c.Params.UnbondMS) }

func spendStake(d *chain.Draft, s Stake, action uint) error {
	if slices.ContainsFunc(d.Inputs, func(i chain.Input) bool { return i.Ref == s.UTxO.Ref }) {
		return fmt.Errorf("stake %s twice: %w", s.UTxO.Ref, ErrDraft)
	}
	r, err := chain.EncodeData(data.NewConstr(action))
	if err != nil {
		return err
	}
	d.Inputs = append(d.Inputs, chain.Input{UTxO: s.UTxO, Redeemer: r})
	return nil
}

// take adds to a verdict what it takes of the provider's stakes: as few of them as hold it. What is left says what the
// last of the inputs said; if nothing is left, the provider's output gets their lovelace.
func (c *Contracts) take(d *chain.Draft, l Lot, v Verdict, f Frame, stakes []Stake) error {
	c.use(d, f.References, c.StakeScript)
	owner, _ := l.Provider.Key()
	var sum uint64
	var coin chain.Lovelace
	var last Stake
	for _, s := range largest(stakes) {
		if s.Owner != owner || sum >= v.TakenUNTX {
			continue
		}
		if err := spendStake(d, s, stakeSlash); err != nil {
			return err
		}
		sum, coin = sum+s.UNTX, coin+s.UTxO.Value.Coin
		if last.Owner != owner || s.UTxO.Ref.Compare(last.UTxO.Ref) > 0 {
			last = s
		}
	}
	switch {
	case sum < v.TakenUNTX:
		return fmt.Errorf("lot %s: stakes of %d, %d to be taken: %w", l.Ref, sum, v.TakenUNTX, ErrDraft)
	case sum == v.TakenUNTX:
		d.Outputs[1].Value.Coin += coin
		return nil
	}
	left := Stake{Owner: owner, Since: last.Since, UNTX: sum - v.TakenUNTX}
	left.UTxO.Value.Coin = coin
	o, err := c.stakeOutput(left)
	o.Datum = last.UTxO.Datum // in whatever encoding
	d.Outputs = append(d.Outputs, o)
	return err
}
