//go:build crash && linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
	"github.com/tallycompute/tally/chain/wallet"
)

// kill is a place in the life of a process: at the so manyth write to its database or its terminal, or at the so manyth
// segment between it and the node. The zero kill is none.
type kill struct{ inside, wire int }

// till is one wallet, whose owner gives one command until it has told how it ended.
type till struct {
	*crashBank
	scene scene
	n     int
	owner chaintest.Actor
	shop  chaintest.Actor
	home  string

	mu      sync.Mutex
	cmd     *exec.Cmd
	left    int // segments until the process is killed; 0: it is not
	where   string
	seen    map[string]int
	rejects int // times it was told that it did not work
	fees    chain.Lovelace
	rival   bool // somebody else has spent what it wants to spend
	err     error
}

// scene is a command and what stands in its way until it was told of once.
type scene struct {
	name string
	args func(shop chain.Address) []string
	way  func(l *till, g segment) bool // sees what is handed in; false: it is lost
}

const (
	tillFunds   = chain.Lovelace(100_000_000)
	tillAmount  = chain.Lovelace(20_000_000)
	tillMargin  = 500 // ms
	tillPatient = 2 * time.Minute
)

func sendArgs(more ...string) func(chain.Address) []string {
	return func(shop chain.Address) []string {
		return append([]string{"wallet", "send", "-y", "--to", shop.String(), "20", "ADA"}, more...)
	}
}

func scenes() []scene {
	return []scene{
		{"send", sendArgs(), nil},
		{"tidy", func(chain.Address) []string { return []string{"wallet", "tidy", "-y"} }, nil},
		{"refused", sendArgs(), forged},
		{"expired", sendArgs("--valid-for", "2s"), unheard},
		{"spent", sendArgs("--valid-for", "3s"), spentSince},
	}
}

// unheard is a link on which nothing that is handed in arrives.
func unheard(l *till, _ segment) bool { return l.rejects > 0 }

// forged breaks the signature.
func forged(l *till, g segment) bool {
	if i := bytes.LastIndex(g.body, []byte{0x58, 0x40}); i >= 0 && l.rejects == 0 {
		g.body[i+2] ^= 1
	}
	return true
}

// spentSince has another wallet with the same key spend everything first.
func spentSince(l *till, _ segment) bool {
	if !l.rival {
		l.rival = true
		l.err = errors.Join(l.err, l.spendElsewhere())
	}
	return true
}

func (l *till) spendElsewhere() error {
	ctx, at := context.Background(), l.owner.Address
	params, err := l.node.Params(ctx)
	if err != nil {
		return err
	}
	clock, err := l.node.Clock(ctx)
	if err != nil {
		return err
	}
	tip, _, us, err := l.node.Snapshot(ctx, at)
	if err != nil {
		return err
	}
	d := chain.Draft{From: tip.Slot, Until: tip.Slot + 1000}
	for _, u := range us {
		d.Inputs = append(d.Inputs, chain.Input{UTxO: u})
	}
	tx, err := chain.Balance(d, nil, at, nil, params, clock, l.net)
	if err != nil {
		return err
	}
	if err := errors.Join(l.owner.Sign(tx), l.node.Submit(ctx, tx.Bytes())); err != nil {
		return err
	}
	if l.fees, err = feeOf(tx.Bytes()); err != nil {
		return err
	}
	for {
		us, err := l.node.UTxOs(ctx, at)
		if err != nil || len(us) == 1 && us[0].Ref.Tx == tx.ID() {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func feeOf(raw []byte) (chain.Lovelace, error) {
	tx, err := chain.DecodeTx(raw)
	if err != nil {
		return 0, err
	}
	body, err := tx.Inspect()
	return body.Fee, err
}

// Names of the mini-protocols, and how many segments of each are places: the node's blocks have no end.
var protocols = map[uint16]string{0: "handshake", protocolChainSync: "blocks", protocolSubmit: "submission", 7: "state query", 9: "mempool"}

const mostAlike = 4

// sees is the relay's: a segment of the connections.
func (l *till) sees(g segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.where != "" {
		return false // it is dead
	}
	name, known := protocols[g.protocol]
	if !known {
		name = fmt.Sprint("protocol ", g.protocol)
	}
	if name = "wire: " + name; g.toNode {
		name += ", before it reaches the node"
	} else {
		name += ", before the node's answer"
	}
	if l.seen[name]++; l.seen[name] <= mostAlike && l.left > 0 {
		if l.left--; l.left == 0 {
			l.where = name
			_ = l.cmd.Process.Kill()
			return false
		}
	}
	if g.protocol == protocolSubmit && g.toNode && l.scene.way != nil && len(g.body) > 100 {
		return l.scene.way(l, g)
	}
	return true
}

// run gives the command once. where is the place at which it was killed; "": it ended, with code.
func (l *till) run(ctx context.Context, k kill) (out, errs, where string, code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.CommandContext(ctx, self, l.scene.args(l.shop.Address)...)
	cmd.Env = append(os.Environ(), childPays+"=1", fmt.Sprint(childKill, "=", k.inside), "TALLY_HOME="+l.home, "TALLY_WALLET_PASSPHRASE=till")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	l.mu.Lock()
	l.cmd, l.left, l.where, l.seen = cmd, k.wire, "", map[string]int{}
	err = cmd.Start()
	l.mu.Unlock()
	if err != nil {
		return
	}
	err = cmd.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	out, errs, code = o.String(), e.String(), cmd.ProcessState.ExitCode()
	if ctx.Err() != nil {
		return out, errs, "", code, fmt.Errorf("%w: %s", ctx.Err(), errs)
	}
	if wasKilled(cmd) {
		if where = l.where; where == "" {
			where = lastWords(errs)
		}
		return out, errs, where, code, nil
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return out, errs, "", code, err
}

// live is the life of a wallet with deaths: the owner gives the command, again and again, until it has told how it ended.
// commands are how many that took.
func (l *till) live(ctx context.Context, kills ...kill) (where []string, commands int, err error) {
	ctx, cancel := context.WithTimeout(ctx, tillPatient)
	defer cancel()
	told := map[string]bool{}
	said := ""
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, killed at %q: %w\n%s", l.scene.name, where, err, said)
		}
	}()
	for {
		var k kill
		if commands < len(kills) {
			k = kills[commands]
		}
		commands++
		out, errs, at, code, err := l.run(ctx, k)
		said += fmt.Sprintf("--- %d, killed at %q\n%s%s", code, at, out, errs)
		if err != nil || l.err != nil {
			return where, commands, errors.Join(err, l.err)
		}
		for _, id := range strings.Fields(out) {
			told[id] = true
		}
		if err := l.between(ctx); err != nil {
			return where, commands, err
		}
		switch {
		case at != "":
			where = append(where, at)
			continue
		case code == exitOK:
			return where, commands, l.settled(ctx, told)
		case code == exitRejected && l.scene.way != nil:
			l.mu.Lock()
			l.rejects++
			again := l.rejects > 1
			l.mu.Unlock()
			if again { // the next time it is made anew
				if err := l.pass(ctx); err != nil {
					return where, commands, err
				}
			}
		case code == exitFunds && strings.Contains(errs, "is reserved for transactions under way"):
			if err := l.wait(ctx); err != nil {
				return where, commands, err
			}
		default:
			return where, commands, fmt.Errorf("the command fails")
		}
	}
}

func (l *till) kept(ctx context.Context) (*wallet.Reservations, []wallet.Payment, []wallet.Reservation, error) {
	kept, err := wallet.OpenReservations(ctx, filepath.Join(l.home, "wallet.db"))
	if err != nil {
		return nil, nil, nil, err
	}
	ps, err := kept.Payments(ctx)
	if err != nil {
		return nil, nil, nil, errors.Join(err, kept.Close())
	}
	rs, err := kept.All(ctx)
	return kept, ps, rs, err
}

func (l *till) now() chain.Time { return chain.Time(time.Now().UnixMilli()) }

// wait lets the time pass in which a payment that was shown and not signed keeps its outputs. Ten minutes of it pass at
// once: nothing else ends in them.
func (l *till) wait(ctx context.Context) error {
	kept, _, rs, err := l.kept(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	for _, r := range rs {
		if soon := r.Until - l.now(); soon < 30_000 { // as long as the payment itself
			time.Sleep(200 * time.Millisecond)
			return nil
		}
		if _, ok := payment(r); !ok || r.Until > l.now()+chain.Time(asking.Milliseconds()) {
			return fmt.Errorf("in the way is %q", r.Purpose)
		}
	}
	return kept.Expire(ctx, l.now()+chain.Time(asking.Milliseconds())+tillMargin+1000, tillMargin)
}

// pass waits until what did not come can never come.
func (l *till) pass(ctx context.Context) error {
	kept, ps, _, err := l.kept(ctx)
	if err != nil {
		return err
	}
	for _, p := range ps {
		if !p.Ended {
			time.Sleep(time.Duration(p.Until+tillMargin+500-l.now()) * time.Millisecond)
		}
	}
	return kept.Close()
}

// between looks at what a process left: what is signed has its inputs, alone, and nothing is reserved for ever.
func (l *till) between(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(l.home, "wallet.db")); err != nil {
		return nil // it had not come that far
	}
	kept, ps, rs, err := l.kept(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	holder, until := map[chain.OutRef]string{}, l.now()+chain.Time(asking.Milliseconds())
	for _, p := range ps {
		until = max(until, p.Until)
	}
	for _, r := range rs {
		if holder[r.Ref] = r.Purpose; r.Until > until {
			return fmt.Errorf("%s is reserved until %d", r.Ref, r.Until)
		}
	}
	for _, p := range ps {
		tx, err := chain.DecodeTx(p.Raw)
		if err != nil {
			return err
		}
		body, err := tx.Inspect()
		if err != nil {
			return err
		}
		if p.Ended || l.now() > p.Until {
			continue
		}
		for _, ref := range body.Inputs {
			if holder[ref] != purposeOf(p.Tx) {
				return fmt.Errorf("lost reservation: %s of %s is held for %q", ref, p.Tx, holder[ref])
			}
		}
	}
	return nil
}

// settled looks at the end: as many payments were made as were told of, the rest is there, and free.
func (l *till) settled(ctx context.Context, told map[string]bool) (err error) {
	mine, err := l.node.UTxOs(ctx, l.owner.Address)
	if err != nil {
		return err
	}
	his, err := l.node.UTxOs(ctx, l.shop.Address)
	if err != nil {
		return err
	}
	kept, ps, rs, err := l.kept(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	made, have, fees := map[string]bool{}, chain.Lovelace(0), l.fees
	for _, u := range mine {
		have += u.Value.Coin
		if l.scene.name == "tidy" {
			made[u.Ref.Tx.String()] = true
		}
	}
	for _, u := range his {
		if have += u.Value.Coin; u.Value.Coin != tillAmount {
			return fmt.Errorf("the shop got %v", u.Value)
		}
		made[u.Ref.Tx.String()] = true
	}
	if !maps.Equal(made, told) {
		return fmt.Errorf("told of %v, made %v", told, made)
	}
	for _, p := range ps {
		if !p.Ended {
			return fmt.Errorf("%s has not ended", p.Tx)
		}
		if made[p.Tx.String()] {
			fee, err := feeOf(p.Raw)
			if err != nil {
				return err
			}
			fees += fee
		}
	}
	if have+fees != tillFunds {
		return fmt.Errorf("lost output: %d with %d of fees", have, fees)
	}
	for _, r := range rs {
		unspent := slices.ContainsFunc(mine, func(u chain.UTxO) bool { return u.Ref == r.Ref })
		if id, _ := payment(r); unspent && slices.ContainsFunc(ps, func(p wallet.Payment) bool { return p.Tx == id }) {
			return fmt.Errorf("%s stays reserved for %s, which has ended", r.Ref, id)
		}
	}
	return nil
}
