package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tallycompute/tally/chain"
)

// question is a transaction as the judges get it.
type question struct {
	Tx    string      `json:"tx"`
	UTxOs [][2]string `json:"utxos"`
	Slot  chain.Slot  `json:"slot"`
	Units bool        `json:"units"` // evaluate the scripts too
}

// units are what an evaluator says that a redeemer's script takes.
type units struct {
	Purpose string `json:"purpose"`
	Index   uint32 `json:"index"`
	chain.ExUnits
}

// opinion is one judge's: Refused is why it does not take the transaction at all.
type opinion struct {
	Refused        string         `json:"refused"`
	ID             string         `json:"id"`
	Length         int            `json:"length"` // of what it writes after reading
	MinFee         chain.Lovelace `json:"min_fee"`
	ScriptDataHash string         `json:"script_data_hash"`
	Signed         bool           `json:"signed"`
	Units          []units        `json:"units"`
}

// answer is what all judges say of a transaction.
type answer struct {
	CSL         opinion `json:"csl"`
	CML         opinion `json:"cml"`
	Scalus      opinion `json:"scalus"`
	ScalusUnits opinion `json:"scalus_units"`
	UPLCUnits   opinion `json:"uplc_units"`
}

// judges is the child process that runs them. Questions may be asked ahead: answers come in their order.
type judges struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
}

func startJudges(ctx context.Context, dir string, p chain.Params, clk chain.Clock) (*judges, error) {
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		return nil, fmt.Errorf("the judges are not installed: run npm ci in %s: %w", dir, err)
	}
	cmd := exec.CommandContext(ctx, "node", "judge.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("judges: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("judges: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("judges: %w", err)
	}
	j := &judges{cmd, in, bufio.NewReaderSize(out, 1<<20)}
	last := clk.Eras[len(clk.Eras)-1]
	network := map[string]any{"params": p, "slots": map[string]int64{
		"start_ms":  int64(clk.SlotToTime(last.FirstSlot)) - int64(last.FirstSlot)*last.SlotLength,
		"length_ms": last.SlotLength,
	}}
	return j, json.NewEncoder(in).Encode(network)
}

func (j *judges) ask(q question) error { return json.NewEncoder(j.in).Encode(q) }

// next waits for the next answer.
func (j *judges) next() (a answer, err error) {
	line, err := j.answers.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("judges: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("judges say %q: %w", line, err)
	}
	return a, nil
}

func (j *judges) stop() error {
	j.in.Close()
	return j.cmd.Wait()
}

func ask(tx []byte, utxos []chain.UTxO, slot chain.Slot, units bool) question {
	q := question{Tx: hex.EncodeToString(tx), UTxOs: [][2]string{}, Slot: slot, Units: units}
	for _, u := range utxos {
		q.UTxOs = append(q.UTxOs, [2]string{hex.EncodeToString(encRef(u.Ref)), hex.EncodeToString(u.Encode())})
	}
	return q
}
