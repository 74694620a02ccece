package main

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blinklabs-io/gouroboros/ledger"
)

// enact has a change enacted and waits until the node says so, in the epoch that it named.
func enact(t *testing.T, c *client, n announcement, epochLength uint64, what string) {
	t.Helper()
	status, text := n.command(t, "enact?"+what)
	if status != http.StatusOK {
		t.Fatalf("enact?%s: %d: %s", what, status, text)
	}
	var answer struct{ Epoch uint64 }
	ok(t, json.Unmarshal([]byte(text), &answer))
	for end, before := time.Now().Add(patience), c.parameters(t); reflect.DeepEqual(before, c.parameters(t)); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("enact?%s: nothing changed", what)
		}
	}
	if at := n.do(t, "tip").Slot; at < answer.Epoch*epochLength {
		t.Errorf("enact?%s: in force at slot %d, before epoch %d", what, at, answer.Epoch)
	}
}

// TestEnact changes parameters, the cost model and the version while the chain goes on.
func TestEnact(t *testing.T) {
	t.Parallel()
	const ada, epoch = 1_000_000, 60
	alice, bob := newKey(1), newKey(2)
	dir := t.TempDir()
	node := start(t, dir, "--fund", fund(alice), "--fund", fund(bob), "--slot-length", "100ms", "--epoch-length", strconv.Itoa(epoch))
	c := dial(t, node.announcement)
	costs := slices.Clone(c.params.CostModels[2])
	costs[0]++
	var csv []string
	for _, n := range costs {
		csv = append(csv, strconv.FormatInt(n, 10))
	}
	old := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada).bytes(t)
	minted := func(c *client) []byte {
		d := pay(c, alice, wallet(t, c, alice), bob.address(), 5*ada).mint(t, "t", 1, wallet(t, c, bob))
		d.signers = append(d.signers, bob)
		d.body[2] = uint64(2 * ada)
		d.outputs()[0] = out(alice.address(), wallet(t, c, alice).lovelace-7*ada)
		return d.bytes(t)
	}
	oldCosts := minted(c)
	enact(t, c, node.announcement, epoch, "txFeeFixed=400000&priceMemory=0.1&maxTxMemory=14000000&minFeeRefScriptCostPerByte=44&costModelV3="+strings.Join(csv, ","))

	changed := func(c *client) {
		t.Helper()
		p := c.params
		if m, s := p.ExecutionCosts.MemPrice, p.ExecutionCosts.StepPrice; p.MinFeeB != 400_000 || p.MinFeeA != 44 || p.MaxTxExUnits.Memory != 14_000_000 ||
			p.MaxTxExUnits.Steps != 10_000_000_000 || m.Num().Int64()*10 != m.Denom().Int64() || s.Num().Int64() != 721 || !slices.Equal(p.CostModels[2], costs) || len(p.CostModels) < 2 {
			t.Errorf("in force: %+v", p)
		}
	}
	again := dial(t, node.announcement)
	changed(again)
	wants(t, c, old, "FeeTooSmallUTxO")
	wants(t, c, oldCosts, "PPViewHashesDontMatch")
	again.accepted(t, minted(again))

	enact(t, c, node.announcement, epoch, "protocolMajor=11")
	if v := dial(t, node.announcement).params.ProtocolVersion; v.Major != 11 || v.Minor != 0 {
		t.Errorf("version %+v", v)
	}
	for what, says := range map[string]string{
		"enact": "say what to change", "enact?nonsense=1": "nonsense", "enact?protocolMajor=12": "at most 11", "enact?txFeeFixed=x": "decimal number",
		"enact?costModelV3=1,,2": "whole numbers",
	} {
		if status, said := node.command(t, what); status != http.StatusBadRequest || !strings.Contains(said, says) {
			t.Errorf("%s: %d %q", what, status, said)
		}
	}
	node.stop(t)
	back := dial(t, start(t, dir).announcement)
	changed(back)
	if back.params.ProtocolVersion.Major != 11 {
		t.Errorf("version %+v after a restart", back.params.ProtocolVersion)
	}
	back.accepted(t, minted(back))
}

// TestEnactRolledBack: an action recorded on blocks that are taken off the chain comes to nothing.
func TestEnactRolledBack(t *testing.T) {
	t.Parallel()
	const epoch = 60
	alice := newKey(1)
	node := start(t, t.TempDir(), "--fund", fund(alice), "--slot-length", "100ms", "--epoch-length", strconv.Itoa(epoch))
	c := dial(t, node.announcement)
	// Early in an epoch, so that all that follows is in it.
	c.await(t, "the beginning of an epoch", func(b ledger.Block) bool {
		return b.BlockNumber() > 10 && b.SlotNumber()+2 > node.slot() && b.SlotNumber()%epoch < 20
	})
	status, text := node.command(t, "enact?txFeeFixed=400000")
	if status != http.StatusOK {
		t.Fatal(text)
	}
	height := node.do(t, "tip").Height
	c.await(t, "a block more", func(b ledger.Block) bool { return b.BlockNumber() > height })
	node.do(t, "rollback?blocks=5")
	begun := node.slot()/epoch + 1
	c.await(t, "blocks of the next epoch", func(b ledger.Block) bool { return b.SlotNumber() > begun*epoch+10 })
	if fee := c.parameters(t).MinFeeB; fee != 155381 {
		t.Errorf("a fee of %d", fee)
	}
}
