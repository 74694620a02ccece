package plutus

import (
	"fmt"

	"github.com/blinklabs-io/plutigo/data"

	"github.com/tallycompute/tally/chain"
)

// State is the last byte of a lot token's name.
type State uint8

// The states of a lot that is on chain.
const (
	Open      State = 0
	Committed State = 1
	Disputed  State = 2
)

// Lot is a lot as an output holds it.
type Lot struct {
	Ref       chain.OutRef   `json:"ref"`
	UTxO      chain.UTxO     `json:"utxo"`
	Job       JobID          `json:"job"`
	State     State          `json:"state"`
	Provider  chain.Address  `json:"provider"`
	PriceUNTX uint64         `json:"price_untx"`
	BondUNTX  uint64         `json:"bond_untx"`
	Lovelace  chain.Lovelace `json:"lovelace"`
	Root      [32]byte       `json:"root,omitzero"`         // from Committed on: of the result
	ClaimAt   chain.Time     `json:"claim_at_ms,omitempty"` // Committed

	// Disputed: what the requester added, and until when there can be a verdict.
	Deadline        chain.Time     `json:"deadline_ms,omitempty"`
	DisputeBondUNTX uint64         `json:"dispute_bond_untx,omitempty"`
	Own             chain.Lovelace `json:"own_lovelace,omitempty"` // of Lovelace, the provider's; the rest is the requester's
}

// lovelace is what of the lot's lovelace is each party's.
func (l Lot) lovelace() (provider, requester chain.Lovelace) {
	if l.State != Disputed {
		return l.Lovelace, 0
	}
	return l.Own, l.Lovelace - l.Own
}

// maxDatum bounds a lot's datum in bytes. The largest one is 138 in its shortest encoding, but the ledger takes any, and
// a lot that the contracts know must not be unknown here: it may be as long as a transaction.
const maxDatum = 16 << 10

// Token is the asset whose one unit makes an output a lot of job in state s.
func (c *Contracts) Token(j JobID, s State) chain.AssetID {
	return chain.AssetID{Policy: c.Policy, Name: string(j[:]) + string([]byte{byte(s)})}
}

// ReadLot reads an output as a lot with these terms, which are needed to tell price from bond. ErrLot: it is none of
// ours, whatever its datum says.
func (c *Contracts) ReadLot(u chain.UTxO, t Terms) (Lot, error) {
	l, err := c.readLot(u)
	sum := u.Value.Of(c.Params.NTX)
	if err == nil && l.State == Disputed {
		l.DisputeBondUNTX = t.Disputes.BondUNTX
		if sum <= l.DisputeBondUNTX {
			err = fmt.Errorf("%d µNTX with a dispute bond of %d: %w", sum, l.DisputeBondUNTX, ErrLot)
		}
	}
	if err != nil {
		return Lot{}, fmt.Errorf("output %s: %w", u.Ref, err)
	}
	l.PriceUNTX = PriceOf(sum-l.DisputeBondUNTX, t.BondBps)
	l.BondUNTX = sum - l.DisputeBondUNTX - l.PriceUNTX
	return l, nil
}

// JobOf is the job whose lot an output says it is, by its token; zero if there is none.
func (c *Contracts) JobOf(u chain.UTxO) (j JobID) {
	for id := range u.Value.Assets {
		if id.Policy == c.Policy {
			copy(j[:], id.Name)
		}
	}
	return j
}

func (c *Contracts) readLot(u chain.UTxO) (Lot, error) {
	if u.Address != c.Address {
		return Lot{}, fmt.Errorf("at %s: %w", u.Address, ErrLot)
	}
	l := Lot{Ref: u.Ref, UTxO: u, Lovelace: u.Value.Coin}
	tokens := 0
	for id, q := range u.Value.Assets {
		if id.Policy != c.Policy {
			continue
		}
		if q != 1 || len(id.Name) != len(l.Job)+1 {
			return Lot{}, fmt.Errorf("%d of token %s: %w", q, id, ErrLot)
		}
		tokens++
		copy(l.Job[:], id.Name)
		l.State = State(id.Name[len(l.Job)])
	}
	if tokens != 1 || len(u.Value.Assets) != 2 || u.Value.Of(c.Params.NTX) == 0 || u.Script != nil {
		return Lot{}, fmt.Errorf("%d tokens among %d assets: %w", tokens, len(u.Value.Assets), ErrLot)
	}
	return l, l.readDatum(u.Datum, c.Network)
}

func (l *Lot) readDatum(b []byte, n chain.Network) error {
	if len(b) > maxDatum {
		return fmt.Errorf("datum of %d bytes: %w", len(b), ErrLot)
	}
	d, err := chain.DecodeData(b)
	if err != nil {
		return fmt.Errorf("datum: %w: %w", err, ErrLot)
	}
	want := map[State]int{Open: 1, Committed: 3, Disputed: 4}[l.State]
	f, ok := fields(d, uint(l.State), want)
	if !ok || want == 0 {
		return fmt.Errorf("datum of another state than %d: %w", l.State, ErrLot)
	}
	if l.Provider, err = readAddress(f[0], n); err != nil || l.State == Open {
		return err
	}
	root, ok := readBytes(f[1], len(l.Root))
	at, ok2 := readUint(f[2])
	if !ok || !ok2 || at > maxTime*2 {
		return fmt.Errorf("datum's root or time: %w", ErrLot)
	}
	l.Root = [32]byte(root)
	if l.State == Committed {
		l.ClaimAt = chain.Time(at)
		return nil
	}
	own, ok := readUint(f[3])
	if !ok || chain.Lovelace(own) > l.Lovelace {
		return fmt.Errorf("datum's lovelace: %w", ErrLot)
	}
	l.Deadline, l.Own = chain.Time(at), chain.Lovelace(own)
	return nil
}

// datum is what the lot's output says beside its value.
func (l Lot) datum() ([]byte, error) {
	f := []data.PlutusData{addressData(l.Provider)}
	switch l.State {
	case Committed:
		f = append(f, data.NewByteString(l.Root[:]), integer(uint64(l.ClaimAt)))
	case Disputed:
		f = append(f, data.NewByteString(l.Root[:]), integer(uint64(l.Deadline)), integer(uint64(l.Own)))
	}
	return chain.EncodeData(data.NewConstr(uint(l.State), f...))
}

// output is the lot on chain.
func (c *Contracts) output(l Lot) (chain.Output, error) {
	d, err := l.datum()
	if err != nil {
		return chain.Output{}, err
	}
	v := chain.Coins(l.Lovelace).With(c.Params.NTX, l.PriceUNTX+l.BondUNTX+l.DisputeBondUNTX).With(c.Token(l.Job, l.State), 1)
	return chain.Output{Address: c.Address, Value: v, Datum: d}, nil
}

// LotLovelace is enough for a lot of any provider and price in every state: what terms should say.
func (c *Contracts) LotLovelace(p chain.Params) (chain.Lovelace, error) {
	o, err := c.output(Lot{
		State: Committed, Provider: chain.Base(c.Network, chain.KeyHash{}, chain.KeyHash{}),
		PriceUNTX: maxQuantity, ClaimAt: maxTime, Lovelace: 1 << 31,
	})
	return max(p.MinCoin(o), c.Params.MinLotLovelace), err
}
