package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

const ada = 1_000_000

var unit = []byte{0xd8, 0x79, 0x80} // Constr 0 []

// providers is how many there are.
const providers = 16

func (w *world) requesters() []chaintest.Actor {
	return []chaintest.Actor{w.person("requester"), w.person("another requester")}
}

func (w *world) provider(i int) chaintest.Actor { return w.person(fmt.Sprint("provider ", i)) }

// paidAt is where a provider is paid: every other one has a stake key.
func (w *world) paidAt(i int) chain.Address {
	p := w.provider(i)
	if i%2 == 0 {
		return p.Address
	}
	return chain.Base(w.net, p.Hash, chaintest.NewActor("stake").Hash)
}

func (w *world) pay(to chain.Address, v chain.Value) chain.Output {
	return chain.Output{Address: to, Value: v}
}

// fund gives everybody coins: the first transactions there are.
func (w *world) fund(ctx context.Context) error {
	faucet := w.person("faucet")
	var d draft
	d.shape, d.payer = "payment, many outputs", faucet
	d.Outputs = []chain.Output{w.pay(faucet.Address, chain.Coins(collateralCoin)), w.pay(faucet.Address, chain.Coins(collateralCoin))}
	for range 6 {
		d.Outputs = append(d.Outputs, w.pay(faucet.Address, chain.Coins(500_000*ada)))
	}
	if _, err := w.present(ctx, d); err != nil {
		return err
	}
	everyone := append(w.requesters(), w.person("stranger"))
	for i := range providers {
		everyone = append(everyone, w.provider(i))
	}
	mint := draft{shape: "mint", payer: faucet}
	mint.Scripts, mint.Mint = [][]byte{mintPolicy()}, []chain.Mint{{Policy: w.ntx.Policy, Redeemer: unit, Assets: map[string]int64{w.ntx.Name: 1_000_000_000_000}}}
	mint.Outputs = []chain.Output{w.pay(faucet.Address, chain.Coins(100*ada).With(w.ntx, 1_000_000_000_000))}
	if _, err := w.present(ctx, mint); err != nil {
		return err
	}
	for i, a := range everyone {
		d := draft{shape: "payment, many outputs", payer: faucet}
		for n := range 14 {
			to := a.Address
			if i > 2 && n%2 == 1 {
				to = w.paidAt(i - 3)
			}
			d.Outputs = append(d.Outputs, w.pay(to, chain.Coins(60*ada).With(w.ntx, 2_000_000_000)))
		}
		for range 4 {
			d.Outputs = append(d.Outputs, w.pay(a.Address, chain.Coins(collateralCoin)), w.pay(a.Address, chain.Coins(900*ada)))
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// publish puts the contracts on chain as reference scripts, some twice, and another script beside them.
func (w *world) publish(ctx context.Context) error {
	stranger, f := w.person("stranger"), w.frame(600)
	for _, d := range []chain.Draft{
		w.contracts.Deploy(f), w.contracts.DeploySlices(f), w.contracts.Deploy(f),
		{Outputs: []chain.Output{{Address: stranger.Address, Script: mintPolicy()}}},
	} {
		b, err := w.present(ctx, draft{shape: "reference scripts published", payer: stranger, Draft: d})
		if err != nil {
			return err
		}
		w.published = w.contracts.FindReferences(append(w.published, b.Outputs...))
	}
	return nil
}

// payments are what a wallet sends.
func (w *world) payments(ctx context.Context) error {
	rnd := rand.New(rand.NewPCG(1, 2))
	stranger, requesters := w.person("stranger"), w.requesters()
	lock := chain.ScriptAddress(w.net, chain.HashScript(chaintest.Accepts(2)))
	for i := range 12 {
		d := draft{shape: "payment", payer: requesters[i%2]}
		for n := range 1 + i%4 {
			d.Outputs = append(d.Outputs, w.pay(w.paidAt((i+n)%providers), chain.Coins(chain.Lovelace(rnd.Uint64N(90*ada)+2*ada))))
		}
		if i%3 == 0 {
			d.Outputs[0].Value.Coin = 0 // the least there may be
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	for i := range 10 {
		d := draft{shape: "payment with a message", payer: requesters[i%2]}
		d.Outputs = []chain.Output{w.pay(stranger.Address, chain.Coins(3*ada).With(w.ntx, rnd.Uint64N(1000)+1))}
		for n := range 1 + i {
			d.Message = append(d.Message, fmt.Sprintf("line %d of a message, with a letter that takes two bytes: ä", n))
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	for i := range 10 {
		d := draft{shape: "payment with a datum", payer: stranger}
		for n := range 1 + i%3 {
			d.Outputs = append(d.Outputs, chain.Output{Address: lock, Value: chain.Coins(chain.Lovelace(6+n) * ada), Datum: unit})
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	for i := range 8 {
		a := w.provider(i)
		d := draft{shape: "small outputs joined", payer: a, change: w.paidAt(i)}
		pay, _ := w.coins(a)
		for _, u := range pay[:2+i%3] {
			d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// unlock spends what a script guards, by any script: attached or referenced, with every kind of collateral.
func (w *world) unlock(ctx context.Context) error {
	stranger, script := w.person("stranger"), chaintest.Accepts(2)
	lock := chain.ScriptAddress(w.net, chain.HashScript(script))
	for i := range 12 {
		d := draft{shape: "a script's output spent", payer: stranger}
		for _, u := range w.sorted() {
			if u.Address == lock && len(d.Inputs) < 1+i%2 {
				d.Inputs = append(d.Inputs, chain.Input{UTxO: u, Redeemer: unit})
			}
		}
		d.Scripts = [][]byte{script}
		switch i % 4 {
		case 2:
			b, err := w.present(ctx, draft{shape: "payment", payer: stranger, Draft: chain.Draft{
				Outputs: []chain.Output{w.pay(stranger.Address, chain.Coins(ada))},
			}})
			if err != nil {
				return err
			}
			d.shape, d.collateral = "collateral too small to be returned", b.Outputs[:1]
		case 3:
			rest, err := w.find(stranger, func(u chain.UTxO) bool { return len(u.Value.Assets) > 0 && u.Value.Coin > 30*ada })
			if err != nil {
				return err
			}
			d.shape, d.collateral = "collateral with tokens, returned", []chain.UTxO{rest}
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// assets mints, sends and burns many kinds of tokens.
func (w *world) assets(ctx context.Context) error {
	stranger := w.person("stranger")
	isRef := func(u chain.UTxO) bool { return slices.Equal(u.Script, mintPolicy()) }
	var published []chain.UTxO
	for _, u := range w.sorted() {
		if isRef(u) {
			published = append(published, u)
		}
	}
	for i := range 12 {
		d := draft{shape: "mint of many assets", payer: stranger}
		d.Scripts = [][]byte{mintPolicy()}
		if i%2 == 1 {
			d.shape, d.References, d.Scripts = "mint by a published script", published, nil
		}
		names := map[string]int64{}
		for n := range 1 + i*3 {
			names[fmt.Sprintf("token %d of %d", n, i)[:1+n%12]+fmt.Sprint(i, n)] = int64(1 + n*1_000_000)
		}
		d.Mint = []chain.Mint{{Policy: w.ntx.Policy, Redeemer: unit, Assets: names}}
		if i%3 == 0 {
			other := chaintest.Accepts(8)
			d.Scripts = append(d.Scripts, other)
			d.Mint = append(d.Mint, chain.Mint{Policy: chain.HashScript(other), Redeemer: unit, Assets: map[string]int64{"": 5}})
		}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	return w.sendAndBurn(ctx, stranger)
}

func (w *world) sendAndBurn(ctx context.Context, a chaintest.Actor) error {
	many := func(u chain.UTxO) bool { return len(u.Value.Assets) > 3 }
	for i := range 10 {
		u, err := w.find(a, many)
		if err != nil {
			return err
		}
		d := draft{shape: "many assets sent", payer: a}
		v := chain.Coins(0)
		for n, id := range u.Value.IDs() {
			if n%3 != 0 && n < 20 {
				v = v.With(id, 1)
			}
		}
		d.Outputs = []chain.Output{w.pay(w.paidAt(i%providers), v)}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	for range 6 {
		u, err := w.find(a, many)
		if err != nil {
			return err
		}
		d := draft{shape: "burn", payer: a}
		names := map[string]int64{}
		for _, id := range u.Value.IDs() {
			if id.Policy == w.ntx.Policy && id != w.ntx && len(names) < 3 {
				names[id.Name] = -1
			}
		}
		d.Scripts = [][]byte{mintPolicy()}
		d.Mint = []chain.Mint{{Policy: w.ntx.Policy, Redeemer: unit, Assets: names}}
		if _, err := w.present(ctx, d); err != nil {
			return err
		}
	}
	return nil
}
