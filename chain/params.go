package chain

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/ledger/conway"
)

// ExUnits are Plutus execution units.
type ExUnits struct {
	Mem   uint64 `json:"mem"`
	Steps uint64 `json:"steps"`
}

// Rat is a non-negative fraction, written "num/den".
type Rat struct{ Num, Den uint64 }

// MarshalText writes "num/den".
func (r Rat) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d/%d", r.Num, r.Den), nil
}

// UnmarshalText reads "num/den".
func (r *Rat) UnmarshalText(b []byte) error {
	n, d, _ := strings.Cut(string(b), "/")
	num, err := strconv.ParseUint(n, 10, 64)
	den, err2 := strconv.ParseUint(d, 10, 64)
	if err != nil || err2 != nil || den == 0 {
		return fmt.Errorf("fraction %q: %w", b, ErrMalformed)
	}
	*r = Rat{num, den}
	return nil
}

func (r Rat) big() *big.Rat {
	if r.Den == 0 {
		return new(big.Rat)
	}
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(r.Num), new(big.Int).SetUint64(r.Den))
}

// Params are the protocol parameters that building and checking a transaction needs (Conway ledger, CIP-1694).
type Params struct {
	ProtocolMajor       uint     `json:"protocol_major"`
	ProtocolMinor       uint     `json:"protocol_minor"`
	FeePerByte          Lovelace `json:"fee_per_byte"`
	FeeFixed            Lovelace `json:"fee_fixed"`
	MaxTxSize           uint     `json:"max_tx_size"`    // bytes
	MaxValueSize        uint     `json:"max_value_size"` // bytes of an output's value
	CoinsPerByte        Lovelace `json:"coins_per_utxo_byte"`
	KeyDeposit          Lovelace `json:"key_deposit"`
	MemPrice            Rat      `json:"mem_price"`        // lovelace for a unit of memory
	StepPrice           Rat      `json:"step_price"`       // lovelace for a step
	RefScriptPrice      Rat      `json:"ref_script_price"` // lovelace for a byte of reference scripts, first tier
	MaxTxUnits          ExUnits  `json:"max_tx_units"`
	CollateralPercent   uint     `json:"collateral_percent"` // of the fee
	MaxCollateralInputs uint     `json:"max_collateral_inputs"`
	CostModelV3         []int64  `json:"cost_model_v3"`
}

// ParamsFrom takes what is needed out of a node's answer.
func ParamsFrom(pp *conway.ConwayProtocolParameters) (Params, error) {
	if pp == nil {
		return Params{}, fmt.Errorf("no protocol parameters: %w", ErrMalformed)
	}
	p := Params{
		ProtocolMajor: pp.ProtocolVersion.Major, ProtocolMinor: pp.ProtocolVersion.Minor,
		FeePerByte: Lovelace(pp.MinFeeA), FeeFixed: Lovelace(pp.MinFeeB),
		MaxTxSize: pp.MaxTxSize, MaxValueSize: pp.MaxValueSize,
		CoinsPerByte: Lovelace(pp.AdaPerUtxoByte), KeyDeposit: Lovelace(pp.KeyDeposit),
		CollateralPercent: pp.CollateralPercentage, MaxCollateralInputs: pp.MaxCollateralInputs,
		CostModelV3: pp.CostModels[2],
	}
	if pp.MaxTxExUnits.Memory < 0 || pp.MaxTxExUnits.Steps < 0 {
		return Params{}, fmt.Errorf("negative execution units: %w", ErrMalformed)
	}
	p.MaxTxUnits = ExUnits{uint64(pp.MaxTxExUnits.Memory), uint64(pp.MaxTxExUnits.Steps)}
	for _, x := range []struct {
		dst *Rat
		src *cbor.Rat
	}{{&p.MemPrice, pp.ExecutionCosts.MemPrice}, {&p.StepPrice, pp.ExecutionCosts.StepPrice}, {&p.RefScriptPrice, pp.MinFeeRefScriptCostPerByte}} {
		if x.src == nil || x.src.Rat == nil || x.src.Sign() < 0 || !x.src.Num().IsUint64() || !x.src.Denom().IsUint64() {
			return Params{}, fmt.Errorf("price %v: %w", x.src, ErrMalformed)
		}
		*x.dst = Rat{x.src.Num().Uint64(), x.src.Denom().Uint64()}
	}
	return p, p.Validate()
}

// Validate refuses parameters with which nothing can be built.
func (p Params) Validate() error {
	switch {
	case p.ProtocolMajor < 9:
		return fmt.Errorf("protocol version %d is before Conway: %w", p.ProtocolMajor, ErrMalformed)
	case p.MaxTxSize == 0 || p.MaxTxSize > MaxTxBytes || p.MaxValueSize == 0 || p.CoinsPerByte == 0:
		return fmt.Errorf("size limits %d, %d and %d lovelace a byte: %w", p.MaxTxSize, p.MaxValueSize, p.CoinsPerByte, ErrMalformed)
	case p.MemPrice.Den == 0 || p.StepPrice.Den == 0 || p.RefScriptPrice.Den == 0:
		return fmt.Errorf("a price is missing: %w", ErrMalformed)
	case len(p.CostModelV3) == 0:
		return fmt.Errorf("no Plutus V3 cost model: %w", ErrMalformed)
	}
	return nil
}

// Reference scripts: the price of a byte grows by a fifth with every 25 KiB; a transaction may carry 200 KiB
// (Conway ledger, tierRefScriptFee and maxRefScriptSizePerTx).
const (
	refScriptTier = 25600
	maxRefScripts = 200 * 1024
)

// MinFee is the least fee of a transaction of size bytes (the isValid byte, which the ledger leaves out, not
// counted), with units of execution and refBytes bytes of reference scripts on its inputs and reference inputs.
func (p Params) MinFee(size int, units ExUnits, refBytes int) Lovelace {
	fee := new(big.Int).SetUint64(uint64(p.FeePerByte))
	fee.Mul(fee, big.NewInt(int64(size)))
	fee.Add(fee, new(big.Int).SetUint64(uint64(p.FeeFixed)))

	run := mulRat(p.MemPrice.big(), units.Mem)
	run.Add(run, mulRat(p.StepPrice.big(), units.Steps))
	fee.Add(fee, ceil(run))

	scripts, price := new(big.Rat), p.RefScriptPrice.big()
	for ; refBytes > 0; refBytes -= refScriptTier {
		scripts.Add(scripts, mulRat(price, uint64(min(refBytes, refScriptTier))))
		price.Mul(price, big.NewRat(6, 5))
	}
	fee.Add(fee, new(big.Int).Div(scripts.Num(), scripts.Denom()))
	return Lovelace(fee.Uint64())
}

// Collateral is the least collateral for a fee.
func (p Params) Collateral(fee Lovelace) Lovelace {
	return (fee*Lovelace(p.CollateralPercent) + 99) / 100
}

// MinCoin is the least lovelace output o must hold; the coin it has counts with the width it ends up with.
func (p Params) MinCoin(o Output) Lovelace {
	for {
		least := Lovelace(160+len(o.Encode())) * p.CoinsPerByte
		if o.Value.Coin >= least {
			return least
		}
		o.Value.Coin = least
	}
}

func mulRat(r *big.Rat, n uint64) *big.Rat {
	return new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(n)))
}

func ceil(r *big.Rat) *big.Int {
	n := new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1)))
	return n.Div(n, r.Denom())
}
