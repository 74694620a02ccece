package node

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger/conway"
	"github.com/blinklabs-io/gouroboros/protocol/localstatequery"
	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

// Bounds of what is read out of an answer. The Cardano networks have had eight eras.
const (
	maxEras     = 64
	maxHashSize = 32
)

const (
	picosPerNano  = 1_000
	picosPerMilli = 1_000_000_000
)

func unmarshal(raw []byte, v any) error {
	if err := cbor.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return nil
}

// systemStart reads a UTCTime: [year, day of the year from 1, picoseconds of the day].
func systemStart(raw []byte) (chain.Time, error) {
	var t struct {
		_     struct{} `cbor:",toarray"`
		Year  int64
		Day   int
		Picos uint64
	}
	if err := unmarshal(raw, &t); err != nil {
		return 0, err
	}
	if t.Year < 1 || t.Year > 9999 || t.Day < 1 || t.Day > 366 || t.Picos/picosPerNano > uint64(25*time.Hour) {
		return 0, fmt.Errorf("system start in year %d, day %d: %w", t.Year, t.Day, ErrUnexpected)
	}
	day := time.Date(int(t.Year), time.January, t.Day, 0, 0, 0, 0, time.UTC)
	return chain.Time(day.Add(time.Duration(t.Picos / picosPerNano)).UnixMilli()), nil
}

// bound is where an era begins or ends: [picoseconds from the system start, slot, epoch], and from 2026 on the number of
// Peras rounds too.
type bound struct {
	ms   int64
	slot chain.Slot
}

func readBound(raw []byte) (b bound, err error) {
	var parts []cbor.RawMessage
	if err := unmarshal(raw, &parts); err != nil {
		return b, err
	}
	if len(parts) < 3 {
		return b, fmt.Errorf("an era's bound of %d parts: %w", len(parts), ErrUnexpected)
	}
	var picos big.Int
	if err := unmarshal(parts[0], &picos); err != nil {
		return b, err
	}
	ms := picos.Div(&picos, big.NewInt(picosPerMilli))
	if !ms.IsInt64() || ms.Sign() < 0 {
		return b, fmt.Errorf("an era's bound at %s ms: %w", ms, ErrUnexpected)
	}
	b.ms = ms.Int64()
	return b, unmarshal(parts[1], &b.slot)
}

// eraHistory reads the summary of the hard-fork combinator's eras: a list of [begin, end, parameters], where the end is null
// of an era without one, and the parameters are [slots of an epoch, milliseconds of a slot, safe zone, genesis window], and
// more of later eras. A zone is [0, slots, [0]] or, where nothing bounds it, [1].
//
// Source: the instances of Serialise in Ouroboros.Consensus.HardFork.History, Summary.hs and EraParams.hs
// (IntersectMBO/ouroboros-consensus).
func eraHistory(raw []byte) (eras []chain.Era, horizon chain.Slot, err error) {
	var list []cbor.RawMessage
	if err := unmarshal(raw, &list); err != nil {
		return nil, 0, err
	}
	if len(list) > maxEras {
		return nil, 0, fmt.Errorf("%d eras: %w", len(list), ErrUnexpected)
	}
	for _, raw := range list {
		var era, params []cbor.RawMessage
		if err := unmarshal(raw, &era); err != nil {
			return nil, 0, err
		}
		if len(era) != 3 {
			return nil, 0, fmt.Errorf("an era of %d parts: %w", len(era), ErrUnexpected)
		}
		begin, err := readBound(era[0])
		if err != nil {
			return nil, 0, err
		}
		if err := unmarshal(era[2], &params); err != nil {
			return nil, 0, err
		}
		if len(params) < 2 {
			return nil, 0, fmt.Errorf("era parameters of %d parts: %w", len(params), ErrUnexpected)
		}
		e := chain.Era{FirstSlot: begin.slot, Start: begin.ms}
		if err := unmarshal(params[1], &e.SlotLength); err != nil {
			return nil, 0, err
		}
		eras, horizon = append(eras, e), 0
		if era[1][0] == null {
			continue
		}
		end, err := readBound(era[1])
		if err != nil {
			return nil, 0, err
		}
		if end.slot > begin.slot {
			horizon = end.slot
		}
	}
	return eras, horizon, nil
}

const null = 0xf6 // CBOR

// readPoint reads a point of the chain: [slot, hash], or [] before the first block.
func readPoint(raw []byte) (p chain.Point, err error) {
	var parts []cbor.RawMessage
	if err := unmarshal(raw, &parts); err != nil || len(parts) == 0 {
		return p, err
	}
	var hash []byte
	if len(parts) != 2 || cbor.Unmarshal(parts[0], &p.Slot) != nil || cbor.Unmarshal(parts[1], &hash) != nil || len(hash) != maxHashSize {
		return chain.Point{}, fmt.Errorf("a point %s: %w", diagnosis(raw), ErrUnexpected)
	}
	copy(p.Hash[:], hash)
	return p, nil
}

// blockNo reads the number of the tip's block: [1, number], or [0] before the first.
func blockNo(raw []byte) (n uint64, err error) {
	var parts []uint64
	if err := unmarshal(raw, &parts); err != nil {
		return 0, err
	}
	switch {
	case len(parts) == 1 && parts[0] == 0:
		return 0, nil
	case len(parts) == 2 && parts[0] == 1:
		return parts[1], nil
	}
	return 0, fmt.Errorf("height %s: %w", diagnosis(raw), ErrUnexpected)
}

// readParams reads the Conway era's protocol parameters, a list of 31 (cardano-ledger, EncCBOR of PParams in order of their
// declaration).
func readParams(raw []byte) (p chain.Params, err error) {
	inner, err := current(raw)
	if err != nil {
		return p, err
	}
	var c conway.ConwayProtocolParameters
	if err := decode(inner, &c); err != nil {
		return p, err
	}
	if p, err = chain.ParamsFrom(&c); err != nil {
		return p, fmt.Errorf("%w: %w", ErrUnexpected, err)
	}
	return p, nil
}

// readUTxOs reads the outputs of an address by their places. Those of other addresses, which some nodes add when the payment
// credential is the same, are left out; skipped are those whose form Tally does not read (see chain.OutputFrom).
func readUTxOs(raw []byte, a chain.Address) (us []chain.UTxO, skipped int, err error) {
	us, skipped, err = readOutputs(raw)
	return slices.DeleteFunc(us, func(u chain.UTxO) bool { return u.Address != a }), skipped, err
}

// readOutputs reads outputs by their places, whichever way they were asked for.
func readOutputs(raw []byte) (us []chain.UTxO, skipped int, err error) {
	var r localstatequery.UTxOByAddressResult
	if _, err := current(raw); err != nil {
		return nil, 0, err
	}
	if err := decode(raw, &r); err != nil {
		return nil, 0, err
	}
	for id, out := range r.Results {
		o, ok := chain.OutputFrom(&out)
		if !ok {
			skipped++
			continue
		}
		us = append(us, chain.UTxO{Ref: chain.OutRef{Tx: chain.TxID(id.Hash), Index: uint32(id.Idx)}, Output: o})
	}
	return us, skipped, nil
}
