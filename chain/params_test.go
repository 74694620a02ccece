package chain_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"testing"

	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/ledger/conway"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

func TestParamsFrom(t *testing.T) {
	want := chaintest.Params()
	rat := func(a, b int64) *cbor.Rat { return &cbor.Rat{Rat: big.NewRat(a, b)} }
	pp := &conway.ConwayProtocolParameters{
		MinFeeA: 44, MinFeeB: 155381, MaxTxSize: 16384, KeyDeposit: 2000000, AdaPerUtxoByte: 4310, MaxValueSize: 5000,
		CollateralPercentage: 150, MaxCollateralInputs: 3, CostModels: map[uint][]int64{0: {1}, 2: want.CostModelV3},
		ProtocolVersion: common.ProtocolParametersProtocolVersion{Major: 10},
		ExecutionCosts:  common.ExUnitPrice{MemPrice: rat(577, 10000), StepPrice: rat(721, 10000000)},
		MaxTxExUnits:    common.ExUnits{Memory: 16500000, Steps: 10000000000}, MinFeeRefScriptCostPerByte: rat(15, 1),
	}
	got, err := chain.ParamsFrom(pp)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v: %v", got, want, err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back chain.Params
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("from JSON %+v: %v", back, err)
	}
	pp.MinFeeRefScriptCostPerByte = nil
	if _, err := chain.ParamsFrom(pp); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("without a price: %v", err)
	}
	if _, err := chain.ParamsFrom(nil); !errors.Is(err, chain.ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
}

// TestMinFee: 44 lovelace a byte on 155381; the prices of units rounded up; reference scripts dearer by a fifth with
// every 25600 bytes (Conway ledger, getConwayMinFeeTx).
func TestMinFee(t *testing.T) {
	p := chaintest.Params()
	for _, c := range []struct {
		size  int
		units chain.ExUnits
		refs  int
		want  chain.Lovelace
	}{
		{0, chain.ExUnits{}, 0, 155381},
		{300, chain.ExUnits{}, 0, 168581},
		{0, chain.ExUnits{Mem: 1}, 0, 155382},
		{0, chain.ExUnits{Mem: 10000, Steps: 10000000}, 0, 155381 + 577 + 721},
		{0, chain.ExUnits{}, 25600, 155381 + 384000},
		{0, chain.ExUnits{}, 25601, 155381 + 384018},
		{0, chain.ExUnits{}, 3 * 25600, 155381 + 384000 + 460800 + 552960},
	} {
		if got := p.MinFee(c.size, c.units, c.refs); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestMinCoin: (160 + size) bytes at 4310 lovelace: an output of ADA alone in map form is 67 bytes at a base address and
// 39 at an enterprise address.
func TestMinCoin(t *testing.T) {
	p, a := chaintest.Params(), chaintest.NewActor("a")
	for address, want := range map[chain.Address]chain.Lovelace{
		chain.Base(chaintest.Network(), a.Hash, a.Hash): 978370,
		a.Address: 857690,
	} {
		if got := p.MinCoin(chain.Output{Address: address}); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
}

// TestScriptDataHash: the ledger library computes the same language view.
func TestScriptDataHash(t *testing.T) {
	p := chaintest.Params()
	views, err := common.EncodeLangViews(map[uint]struct{}{2: {}}, map[uint][]int64{2: p.CostModelV3})
	if err != nil {
		t.Fatal(err)
	}
	redeemers := []byte{0xa1, 0x82, 0x01, 0x00, 0x82, 0xd8, 0x79, 0x80, 0x82, 0x05, 0x18, 0x2a}
	want := common.Blake2b256Hash(append(redeemers, views...))
	got := chain.ScriptDataHash([]chain.Redeemer{{RedeemerKey: chain.RedeemerKey{Purpose: chain.PurposeMint}, Data: unit, Units: chain.ExUnits{Mem: 5, Steps: 42}}}, p)
	if *got != chain.Hash256(want) {
		t.Errorf("%x, want %x", *got, want)
	}
}
