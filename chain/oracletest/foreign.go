package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// makers are the libraries that make transactions of their own, in their own encodings.
var makers = []string{"csl", "cml"}

// foreign has transactions of other libraries reviewed and signed by a wallet, each in the encoding that it came in, and
// submits them.
func (w *world) foreign(ctx context.Context) error {
	for _, maker := range makers {
		complaints, err := w.presentForeign(ctx, maker)
		if err != nil {
			return fmt.Errorf("%s: %w", maker, err)
		}
		w.jury.rule("signed in its own encoding", maker, complaints)
	}
	return nil
}

func (w *world) presentForeign(ctx context.Context, maker string) (complaints []string, err error) {
	const paid = 7_000_000
	payer, to := w.person("faucet"), w.person("bob")
	coin, err := w.find(payer, func(u chain.UTxO) bool { return len(u.Value.Assets) == 0 && u.Value.Coin > 4*paid })
	if err != nil {
		return nil, err
	}
	raw, err := w.make(ctx, maker, coin, to.Address, payer.Address, paid)
	if err != nil {
		return nil, err
	}
	no := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	tx, err := chain.ReadTx([]byte(hex.EncodeToString(raw)))
	if err != nil {
		return nil, err
	}
	parts, err := chain.DecodeRawTx(raw)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(parts.Bytes(), raw) || !bytes.Equal(tx.Bytes(), raw) {
		no("%x becomes %x", raw, tx.Bytes())
	}
	if _, err := chain.DecodeTx(raw); err == nil {
		no("it is written as we write it")
	}
	keys, err := wallet.New(wallet.Secret{PaymentKey: payer.Key.Seed()}, w.net, wallet.Enterprise())
	if err != nil {
		return nil, err
	}
	sigs, err := keys.SignReviewed(tx, []chain.UTxO{coin}, func(r wallet.Review) error {
		less, _, err := r.Net()
		if err != nil {
			return err
		}
		if !less.Equal(chain.Coins(paid+r.Fee)) || len(r.Pays) != 1 || r.Pays[0].Address != to.Address {
			return fmt.Errorf("it pays %+v", r.Pays)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := tx.AddWitnesses([]byte(chain.WitnessSet(sigs))); err != nil {
		return nil, err
	}
	if !bytes.Equal(tx.Body(), parts.Body) {
		no("signing changed the body")
	}
	if err := w.submitter.submit(tx.Bytes()); err != nil {
		no("the node refuses it: %v", err)
		return complaints, nil
	}
	body, err := tx.Inspect()
	if err != nil {
		return nil, err
	}
	w.apply(body)
	w.made[body.ID] = "made by " + maker
	return complaints, nil
}

// make has a library make a payment.
func (w *world) make(ctx context.Context, maker string, coin chain.UTxO, to, change chain.Address, paid uint64) ([]byte, error) {
	q, err := json.Marshal(map[string]any{
		"maker": maker, "params": w.params, "from": [2]string{hex.EncodeToString(encRef(coin.Ref)), hex.EncodeToString(coin.Encode())},
		"to": to, "change": change, "coin": paid, "ttl": w.slot() + 600,
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "build.mjs")
	cmd.Dir, cmd.Stdin = w.jury.judges.cmd.Dir, bytes.NewReader(q)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return nil, fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(string(bytes.TrimSpace(out)))
}
