package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallycompute/tally/chain"
)

// maxControlAnswer bounds what a control socket answers, in bytes.
const maxControlAnswer = 1 << 16

// Producer is one node of a devnet that forges, and what can be made to go wrong with it. Errors: ErrNode with the node's
// reason.
type Producer struct {
	Socket  string `json:"socket"` // node-to-client
	Control string `json:"control"`
	PID     int    `json:"pid"`
}

// ProducerTip is a producer's last block.
type ProducerTip struct {
	Slot   chain.Slot `json:"slot"`
	Hash   string     `json:"hash"` // hex
	Height uint64     `json:"height"`
}

// Tip is the producer's last block.
func (p Producer) Tip(ctx context.Context) (t ProducerTip, err error) {
	err = command(ctx, p.Control, "tip", nil, &t)
	return t, err
}

// Rollback takes so many blocks, at most k, off the chain of a node that is the only producer, and returns the tip left.
// Their transactions are gone, from the mempool too.
func (p Producer) Rollback(ctx context.Context, blocks uint64) (t ProducerTip, err error) {
	err = command(ctx, p.Control, "rollback", url.Values{"blocks": {strconv.FormatUint(blocks, 10)}}, &t)
	return t, err
}

// Stall forges nothing for d, at most half an epoch; 0 ends a stall. When it returns, the last block there will be is there.
func (p Producer) Stall(ctx context.Context, d time.Duration) error {
	return command(ctx, p.Control, "stall", url.Values{"for": {d.String()}}, nil)
}

// Slow leaves at least so much time between the producer's blocks, at most half an epoch; 0: a block in every slot.
func (p Producer) Slow(ctx context.Context, every time.Duration) error {
	return command(ctx, p.Control, "slow", url.Values{"every": {every.String()}}, nil)
}

// Drop breaks the connections of all node-to-client clients and says how many there were.
func (p Producer) Drop(ctx context.Context) (dropped int, err error) {
	var answer struct{ Dropped int }
	err = command(ctx, p.Control, "drop", nil, &answer)
	return answer.Dropped, err
}

// LimitMempool sets how many bytes of transactions may wait for blocks: 0 refuses every new one, 8 MiB is the most.
func (p Producer) LimitMempool(ctx context.Context, bytes uint64) error {
	return command(ctx, p.Control, "mempool", url.Values{"capacity": {strconv.FormatUint(bytes, 10)}}, nil)
}

// Enact has protocol parameters changed with the next epoch, which it returns, by name; "protocolMajor" and "costModelV3"
// too. It stands for a governance action that was ratified.
func (p Producer) Enact(ctx context.Context, values map[string]string) (epoch uint64, err error) {
	q := url.Values{}
	for name, v := range values {
		q.Set(name, v)
	}
	var answer struct{ Epoch uint64 }
	err = command(ctx, p.Control, "enact", q, &answer)
	return answer.Epoch, err
}

// Cut parts two producers: each forges a chain of its own.
func (r NodeReady) Cut(ctx context.Context) error { return command(ctx, r.Control, "cut", nil, nil) }

// Heal joins two producers and returns the tip at which the one with the shorter chain has come up to the other.
func (r NodeReady) Heal(ctx context.Context) (t ProducerTip, err error) {
	err = command(ctx, r.Control, "heal", nil, &t)
	return t, err
}

// command posts one to a control socket and decodes the answer, unless answer is nil.
func command(ctx context.Context, socket, name string, q url.Values, answer any) error {
	fail := func(err error) error { return fmt.Errorf("%s: %w: %w", name, ErrNode, err) }
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	t := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://devnet/"+name+"?"+q.Encode(), nil)
	if err != nil {
		return fail(err)
	}
	res, err := t.RoundTrip(r)
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxControlAnswer))
	if err != nil {
		return fail(err)
	}
	if res.StatusCode != http.StatusOK {
		return fail(errors.New(strings.TrimSpace(string(b))))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fail(err)
	}
	return nil
}
