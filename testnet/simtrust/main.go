package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet/measure"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "simtrust:", err)
		os.Exit(1)
	}
}

// run plays everything and writes what came of it into the tree at root.
func run(root string) error {
	r, err := play(root)
	if err != nil {
		return err
	}
	fmt.Print(r.console())
	if err := measure.Write(filepath.Join(root, "bench", "trust.json"), r.measures()); err != nil {
		return err
	}
	if err := r.writePage(filepath.Join(root, page)); err != nil {
		return err
	}
	if err := r.plot(filepath.Join(root, picture)); err != nil {
		return err
	}
	return failed(r.claims())
}

var preprod = chain.Network{Magic: 1}

// play plays the standard market, and the others that are compared with it.
func play(root string) (*report, error) {
	fees, err := readFees(filepath.Join(root, "bench", "settlement.json"))
	if err != nil {
		return nil, err
	}
	params, err := plutus.Preprod()
	if err != nil {
		return nil, err
	}
	c, err := plutus.New(preprod, params)
	if err != nil {
		return nil, err
	}
	r := &report{setup: standard(), fees: fees}
	if r.result, err = Run(r.setup, c, fees); err != nil {
		return nil, err
	}
	if r.byRate, err = sweep(sweepRates, func(s *Setup, x float64) { s.Rate = x }, c, fees); err != nil {
		return nil, err
	}
	r.byCrook, err = sweep(sweepCrooks, func(s *Setup, x float64) { s.Crook = x }, c, fees)
	return r, err
}

// sweep plays the standard market with one number changed.
func sweep(values []float64, change func(*Setup, float64), c *plutus.Contracts, fees map[escrow.Kind]float64) (all []played, err error) {
	for _, x := range values {
		s := standard()
		change(&s, x)
		r, err := Run(s, c, fees)
		if err != nil {
			return nil, err
		}
		all = append(all, played{s, r})
	}
	return all, nil
}

// benchNames are the transitions in bench/settlement.json that are not of a lot alone, or have another name there. Those of
// slices are of a full one, of which one lot leaves, or is not paid.
var benchNames = map[escrow.Kind]string{
	escrow.KindApprove:  "settle/enterprise/1",
	escrow.KindStart:    fmt.Sprintf("slice/start/enterprise/%d", plutus.MaxShares),
	escrow.KindSettle:   fmt.Sprintf("slice/settle/enterprise/%d", plutus.MaxShares),
	escrow.KindLeave:    "slice/leave/enterprise/1",
	escrow.KindFinish:   "slice/finish/enterprise/1",
	escrow.KindDissolve: fmt.Sprintf("slice/dissolve/enterprise/%d", plutus.MaxShares),
}

// readFees reads what one transaction of each kind costs, in ADA.
func readFees(path string) (map[escrow.Kind]float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("fees: %w; make bench-settlement writes them", err)
	}
	var all []measure.Measure
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("fees: %s: %w", path, err)
	}
	values := map[string]float64{}
	for _, m := range all {
		values[m.Name] = m.Value
	}
	fees := map[escrow.Kind]float64{}
	for _, t := range escrow.Table() {
		name, ok := benchNames[t.On]
		if !ok {
			name = string(t.On) + "/enterprise/1"
		}
		fee, ok := values["costs/"+name+"/fee"]
		if !ok {
			return nil, fmt.Errorf("fees: %s has none for %s", path, name)
		}
		fees[t.On] = fee
	}
	return fees, nil
}
