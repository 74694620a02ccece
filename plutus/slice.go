package plutus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/blinklabs-io/plutigo/data"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

// MaxShares is the most shares that a slice can hold.
const MaxShares = 30

// MostShares and MostLots are how many providers with stake keys one opening holds, in slices and in lots, each with change of
// its bond's input; with room for more inputs of the requester's, and for the terms of disputes.
const (
	MostShares = 44
	MostLots   = 30
)

// maxShareUNTX bounds price and bond of a share: they have seven bytes.
const maxShareUNTX = 1 << 56

// Share is one provider's part of a job in a slice.
type Share struct {
	Provider  chain.Address `json:"provider"`
	PriceUNTX uint64        `json:"price_untx"`
	BondUNTX  uint64        `json:"bond_untx"`
}

// Slice is many providers' parts of one job in one output. What the output holds is on chain; whose it is, is in a list
// of which the output has only the hash: the opening's redeemer has the list.
type Slice struct {
	Ref      chain.OutRef   `json:"ref"`
	UTxO     chain.UTxO     `json:"utxo"`
	Job      JobID          `json:"job"`
	Lovelace chain.Lovelace `json:"lovelace"`
	Shares   []Share        `json:"shares"` // in ascending order of payment keys
}

// Token is the asset whose one unit makes an output a slice of job with so many shares.
func (s Slices) Token(j JobID, shares int) chain.AssetID {
	return chain.AssetID{Policy: s.Policy, Name: string(j[:]) + string([]byte{byte(shares)})}
}

// untx is all that the shares hold.
func (s Slice) untx() (sum uint64) {
	for _, x := range s.Shares {
		sum += x.PriceUNTX + x.BondUNTX
	}
	return sum
}

// kindStaked is the kind of a record with a stake key.
const kindStaked = 1

// list packs shares as scripts read and hash them; contracts/lib/slice.ak has the layout.
func list(shares []Share) []byte {
	var b []byte
	for _, s := range shares {
		payment, _ := s.Provider.Key()
		stake, staked := s.Provider.StakeKey()
		n := s.PriceUNTX + s.BondUNTX
		if staked {
			n |= kindStaked << 56
		}
		b = append(binary.BigEndian.AppendUint64(b, n), payment[:]...)
		if staked {
			b = append(b, stake[:]...)
		}
	}
	return b
}

// ReadShares reads a packed list of shares of a job with a bond rate, as the contracts accept it.
func ReadShares(b []byte, n chain.Network, bondBps uint16) (shares []Share, err error) {
	bad := func(why string) error {
		return fmt.Errorf("share %d: %s: %w", len(shares), why, ErrSlice)
	}
	var last chain.KeyHash
	for len(b) > 0 {
		size := 36
		if b[0] == kindStaked {
			size = 64
		}
		if b[0] > kindStaked || len(b) < size || len(shares) == MaxShares {
			return nil, bad("its record is of another size, or one too many")
		}
		payment := chain.KeyHash(b[8:36])
		s := Share{Provider: chain.Enterprise(n, payment)}
		if size == 64 {
			s.Provider = chain.Base(n, payment, chain.KeyHash(b[36:64]))
		}
		sum := binary.BigEndian.Uint64(b) & (maxShareUNTX - 1)
		s.PriceUNTX = PriceOf(sum, bondBps)
		s.BondUNTX = sum - s.PriceUNTX
		if bytes.Compare(last[:], payment[:]) >= 0 {
			return nil, bad("not in ascending order")
		}
		if sum == 0 || s.BondUNTX != BondOf(s.PriceUNTX, bondBps) {
			return nil, bad("no price and bond")
		}
		last, shares, b = payment, append(shares, s), b[size:]
	}
	if len(shares) == 0 {
		return nil, bad("none")
	}
	return shares, nil
}

// ReadSlice reads an output as a slice of the job with these terms and shares. ErrSlice: it is none of ours, or of
// others.
func (c *Contracts) ReadSlice(u chain.UTxO, t Terms, shares []Share) (Slice, error) {
	id, err := t.JobID()
	if err != nil {
		return Slice{}, err
	}
	s := Slice{Ref: u.Ref, UTxO: u, Job: id, Lovelace: u.Value.Coin, Shares: shares}
	o, err := c.sliceOutput(s)
	if err != nil {
		return Slice{}, err
	}
	got, err := chain.DecodeData(u.Datum)
	if err != nil {
		return Slice{}, fmt.Errorf("slice %s: datum: %w: %w", u.Ref, err, ErrSlice)
	}
	datum, err := chain.EncodeData(afresh(got))
	if err != nil || u.Address != o.Address || !u.Value.Equal(o.Value) || u.Script != nil || !bytes.Equal(datum, o.Datum) {
		return Slice{}, fmt.Errorf("output %s at %s: %w", u.Ref, u.Address, ErrSlice)
	}
	return s, nil
}

// afresh is a slice's datum in the encoding that is written here; data of any other form as it is.
func afresh(d data.PlutusData) data.PlutusData {
	f, ok := fields(d, 0, 2)
	if !ok {
		return d
	}
	hash, ok := readBytes(f[0], 32)
	lots, ok2 := readBytes(f[1], len(chain.ScriptHash{}))
	if !ok || !ok2 {
		return d
	}
	return data.NewConstr(0, data.NewByteString(hash), data.NewByteString(lots))
}

// sliceOutput is the slice on chain.
func (c *Contracts) sliceOutput(s Slice) (chain.Output, error) {
	d, err := chain.EncodeData(data.NewConstr(0, data.NewByteString(blake256(list(s.Shares))), data.NewByteString(c.Policy[:])))
	if err != nil {
		return chain.Output{}, err
	}
	v := chain.Coins(s.Lovelace).With(c.Params.NTX, s.untx()).With(c.Slices.Token(s.Job, len(s.Shares)), 1)
	return chain.Output{Address: c.Slices.Address, Value: v, Datum: d}, nil
}

func blake256(b []byte) []byte {
	h := blake2b.Sum256(b)
	return h[:]
}
