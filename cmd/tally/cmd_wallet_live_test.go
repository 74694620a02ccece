package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/index"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/chain/wallet"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet"
)

// bank is a node with funded wallets, and nobody else.
type bank struct {
	street // only to run commands
	net    chain.Network
	socket string
	faucet *testnet.Faucet
	node   *node.Node

	mu    sync.Mutex
	heard strings.Builder // all that the commands wrote to standard error, with -v
}

func newBank(t *testing.T, magic uint32) *bank {
	t.Helper()
	dir, err := os.MkdirTemp("", "tw") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin, err := exec.LookPath("tally") // this test binary: see TestMain
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{street: street{dir: dir, bin: bin}}
	net := chain.Network{Magic: magic}
	b.net = net
	if b.faucet, err = testnet.NewFaucet(net); err != nil {
		t.Fatal(err)
	}
	p, err := testnet.StartNode(t.Context(), testnet.NodeConfig{
		Dir: filepath.Join(dir, "node"), Magic: net.Magic, SlotLength: 100 * time.Millisecond,
		Funds: map[chain.Address]chain.Lovelace{b.faucet.Address(): testnet.FaucetADA},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	b.socket = p.Socket
	if b.node, err = node.Dial(t.Context(), node.Config{Socket: p.Socket, Network: net}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.node.Close() })
	pace := testnet.DevnetPace()
	err = testnet.Network{
		Name: "devnet", Magic: net.Magic, Contracts: plutus.Devnet(b.faucet.NTX()), Socket: p.Socket, Bootstrap: []string{},
		MarginMS: pace.MarginMS, LockMS: pace.LockMS, PollMS: pace.PollMS, Confirmations: 1, Policy: pace.Policy,
	}.Save(filepath.Join(dir, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tally runs a wallet command in a home, with everything logged that can be.
func (b *bank) tally(t *testing.T, home, stdin string, args ...string) answer {
	t.Helper()
	env := []string{"TALLY_WALLET_PASSPHRASE=the passphrase of " + filepath.Base(home), "TALLY_NETWORK=" + filepath.Join(b.dir, "network.json")}
	a := b.run(t, home, stdin, env, append([]string{"-v", "wallet"}, args...)...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard.WriteString(a.err)
	return a
}

// account is a wallet of the bank's.
type account struct {
	home, words string
	at          chain.Address
}

// open makes wallets, and gives them coins.
func (b *bank) open(t *testing.T, coins map[string][]chain.Value) map[string]account {
	t.Helper()
	all := map[string]account{}
	var gifts []testnet.Gift
	for name, values := range coins {
		home := filepath.Join(b.dir, name)
		made := b.tally(t, home, "", "new")
		made.wants(t, 0)
		shown := b.tally(t, home, "", "address")
		shown.wants(t, 0)
		at, err := chain.ParseAddress(strings.TrimSpace(shown.out))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = account{home, strings.TrimSpace(made.out), at}
		gifts = append(gifts, testnet.Gift{To: at, Values: values})
	}
	b.give(t, gifts...)
	return all
}

// at is what an address holds, as the node has it.
func (b *bank) at(t *testing.T, a chain.Address) chain.Value {
	t.Helper()
	us, err := b.node.UTxOs(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := total(us)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// past waits until the transaction in a file has expired.
func (b *bank) past(t *testing.T, file string) {
	t.Helper()
	tx, err := readTx(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := tx.Inspect()
	if err != nil {
		t.Fatal(err)
	}
	for {
		tip, err := b.node.Tip(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if tip.Slot > body.Until {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestPreprodRehearsal goes docs/how-to/requester/use-preprod.md on a chain of its own that says it is preprod, up to
// where others come in.
func TestPreprodRehearsal(t *testing.T) {
	b := newBank(t, 1)
	home := filepath.Join(b.dir, "me")
	run := func(code int, stdin string, args ...string) answer {
		t.Helper()
		a := b.run(t, home, stdin, []string{"TALLY_WALLET_PASSPHRASE=correct horse"}, args...)
		if a.wants(t, code); strings.Contains(a.err, "run it again with -v") {
			t.Error(a.err)
		}
		return a
	}
	run(0, "", "wallet", "new")
	file := filepath.Join(b.dir, "preprod.json")
	if err := os.WriteFile(file, []byte(run(0, "", "testnet", "network", "preprod", "--socket", b.socket).out), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "", "init", "--network", file)
	at, err := chain.ParseAddress(strings.TrimSpace(run(0, "", "wallet", "address").out))
	if err != nil {
		t.Fatal(err)
	}
	run(exitFunds, "", "testnet", "mint", "-y", "1000", "NTX")
	b.give(t, testnet.Gift{To: at, Values: []chain.Value{chain.Coins(10_000_000_000)}}) // what preprod's public faucet gives
	run(0, "", "wallet", "tidy", "-y")
	run(exitUsage, "", "testnet", "mint", "-y", "5", "ADA")
	run(0, "y\ny\n", "testnet", "mint", "1000", "NTX", "-y").wants(t, 0, "not published yet", "to addr_test1w")
	run(0, "", "wallet", "balance").wants(t, 0, "NTX      1000")
	if again := run(0, "", "testnet", "mint", "-y", "1NTX"); strings.Contains(again.err, "not published yet") {
		t.Error("the contracts are published twice")
	}
	other := filepath.Join(b.dir, "other")
	b.run(t, other, "", []string{"TALLY_WALLET_PASSPHRASE=other"}, "init", "--network", file).wants(t, 0)
	b.run(t, other, "", []string{"TALLY_WALLET_PASSPHRASE=other"}, "testnet", "mint", "1NTX").wants(t, exitWallet, "this wallet's key cannot make it")
	run(exitUsage, "", "testnet", "network", "mainnet")
	run(exitUsage, "", "testnet", "network", "testnet")
}

// give hands out coins of the genesis.
func (b *bank) give(t *testing.T, gifts ...testnet.Gift) {
	t.Helper()
	c, err := plutus.New(b.net, plutus.Devnet(b.faucet.NTX()))
	if err == nil {
		err = b.faucet.Fund(t.Context(), b.node, c, gifts)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWalletLive pays with a real node: what is shown is what moves, to the lovelace.
func TestWalletLive(t *testing.T) {
	b := newBank(t, 42)
	ntx := b.faucet.NTX()
	ntxs := func(lovelace chain.Lovelace, untx uint64) chain.Value { return chain.Coins(lovelace).With(ntx, untx) }
	nine, small := chain.Coins(9_000_000), []chain.Value{chain.Coins(30_000_000)}
	for range 9 {
		small = append(small, ntxs(1_300_000, 1_000_000))
	}
	all := b.open(t, map[string][]chain.Value{
		"alice": {ntxs(10_000_000, 50_000_000), ntxs(8_000_000, 20_000_000), chain.Coins(40_000_000), chain.Coins(6_000_000)}, "bob": nil,
		"busy": {nine, nine, nine, nine, chain.Coins(6_000_000)}, "killed": slices.Repeat([]chain.Value{nine}, 10),
		"small": small, "one": {chain.Coins(60_000_000)}, "mixed": {ntxs(30_000_000, 5)}, "poor": {ntxs(4_000_000, 5)},
		"giver": {nine}, "taker": nil, "staker": {ntxs(30_000_000, 10_000_000), ntxs(30_000_000, 10_000_000), chain.Coins(30_000_000), chain.Coins(6_000_000)},
	})
	alice, words, fromAlice, bob, toBob := all["alice"].home, all["alice"].words, all["alice"].at, all["bob"].home, all["bob"].at
	to := toBob.String()

	// paid runs a payment to bob and checks that what left is what was said.
	paid := func(t *testing.T, want chain.Value, args ...string) (said outgoing) {
		t.Helper()
		mine, his := b.at(t, fromAlice), b.at(t, toBob)
		a := b.tally(t, alice, "", append([]string{"send", "-y", "-o", "json", "--to", to}, args...)...)
		a.wants(t, 0)
		if err := json.Unmarshal([]byte(a.out), &said); err != nil || !said.InChain {
			t.Fatalf("%s: %v", a.out, err)
		}
		more, err := b.at(t, toBob).Sub(his)
		if err != nil || !more.Covers(want) || more.Of(ntx) != want.Of(ntx) {
			t.Fatalf("bob has %v more, want %v: %v", more, want, err)
		}
		less, err := mine.Sub(b.at(t, fromAlice))
		if err != nil {
			t.Fatal(err)
		}
		if more, err = more.Add(chain.Coins(said.Fee)); err != nil || !less.Equal(more) || said.Pays[0].Lovelace+said.Fee != less.Coin {
			t.Errorf("%v left, and %v with the fee came: %v", less, more, err)
		}
		return said
	}

	t.Run("pay", func(t *testing.T) {
		dry := b.tally(t, alice, "", "send", "--dry-run", "--to", to, "5", "NTX", "--message", "rent")
		dry.wants(t, 0, "pays", "5 NTX, 1.", "ADA", "to "+to, "fee", "change", "message", "rent", "(public)", "valid")
		no := b.tally(t, alice, "n\n", "send", "--to", to, "5", "NTX")
		no.wants(t, exitWallet, "5 NTX, 1.", "leave this wallet. Send? [y/N]", "nothing was sent")
		if v := b.at(t, toBob); v.Coin != 0 {
			t.Errorf("bob has %v", v)
		}
		said := paid(t, ntxs(1, 5_000_000), "5", "NTX", "--message", "rent, for "+strings.Repeat("é", 60))
		if len(said.Message) != 3 {
			t.Errorf("%q", said.Message)
		}
		paid(t, chain.Coins(2_500_000), "2.5ADA")
		paid(t, ntxs(3_000_000, 1), "3", "ADA", "0.000001", "NTX")
		b.tally(t, bob, "", "balance").wants(t, 0, "NTX      5.000001", "ADA      6.")
		b.tally(t, bob, "", "utxos").wants(t, 0, "5 NTX, 1.", "0.000001 NTX, 3 ADA")
	})

	t.Run("what cannot be paid", func(t *testing.T) {
		before := b.at(t, fromAlice)
		b.tally(t, alice, "", "send", "-y", "--to", to, "5000", "NTX").wants(t, exitFunds, "insufficient funds", "wallet")
		b.tally(t, alice, "", "send", "-y", "--to", to, "0.1", "ADA").wants(t, exitRejected, "BabbageOutputTooSmallUTxO", "nothing was sent")
		b.tally(t, alice, "", "send", "-y", "--to", "addr1vx2fxv2umyhttkxyxp8x0dlpdt3k6cwng5pxj3jhsydzers66hrl8", "2", "ADA").wants(t, exitUsage, "of another network than devnet")
		other := "x"
		if to[30:31] == other {
			other = "y"
		}
		b.tally(t, alice, "", "send", "-y", "--to", to[:30]+other+to[31:], "2", "ADA").wants(t, exitUsage, "some character is wrong")
		b.tally(t, alice, "", "send", "-y", "--to", "Ae2tdPwUPEZLs4HtbuNey7tK4hTKrwNwYtGqp7bDfCy2WdR3P6735W5Yfpe", "2", "ADA").wants(t, exitUsage, "Byron era")
		b.tally(t, alice, "", "send", "-y", "2", "ADA").wants(t, exitUsage, "--to")
		b.tally(t, alice, "", "send", "-y", "--to", to, "--message", "\xff", "2", "ADA").wants(t, exitUsage, "UTF-8")
		if after := b.at(t, fromAlice); !after.Equal(before) {
			t.Errorf("%v, before %v", after, before)
		}
		b.tally(t, alice, "", "utxos").wants(t, 0, "collateral")
		if a := b.tally(t, alice, "", "utxos"); strings.Contains(a.out, "send ") {
			t.Errorf("something stays reserved:\n%s", a.out)
		}
	})

	t.Run("signed elsewhere", func(t *testing.T) {
		vault, watch, keys := filepath.Join(b.dir, "vault"), filepath.Join(b.dir, "watch"), filepath.Join(b.dir, "keys")
		b.tally(t, vault, words, "import").wants(t, 0, fromAlice.String()) // the keys, on a machine without a network
		b.tally(t, vault, "", "export", keys, "--public").wants(t, 0)
		b.tally(t, watch, "", "import", "--watch", "--key", filepath.Join(keys, "payment.vkey"), "--stake-key", filepath.Join(keys, "stake.vkey")).wants(t, 0, fromAlice.String())
		b.tally(t, watch, "", "send", "-y", "--to", to, "7", "NTX").wants(t, exitWallet, "its key is elsewhere", "--unsigned")
		file, witness := filepath.Join(b.dir, "tx.unsigned"), filepath.Join(b.dir, "tx.witness")
		his := b.at(t, toBob)
		b.tally(t, watch, "", "send", "--to", to, "7", "NTX", "--unsigned", file).wants(t, 0, "reserved until it expires", "--witness")
		b.tally(t, watch, "", "utxos").wants(t, 0, "send ")
		b.tally(t, watch, "", "submit", file).wants(t, exitUsage, "nobody has signed it")
		b.tally(t, vault, "y\n", "sign", file, "--offline", "--out", witness).wants(t, 0, "7 NTX, 1.", "to "+to, "at most 7 NTX", "Sign? [y/N]")
		b.tally(t, bob, "", "submit", file, "--witness", witness).wants(t, 0)
		more, err := b.at(t, toBob).Sub(his)
		if err != nil || more.Of(ntx) != 7_000_000 {
			t.Errorf("bob has %v more: %v", more, err)
		}
		b.tally(t, bob, "", "submit", file, "--witness", witness).wants(t, 0, "in the chain already")
		if again, err := b.at(t, toBob).Sub(his); err != nil || !again.Equal(more) {
			t.Errorf("sent again it paid again: %v %v", again, err)
		}
	})

	t.Run("too late", func(t *testing.T) {
		file, signed := filepath.Join(b.dir, "late"), filepath.Join(b.dir, "late.signed")
		b.tally(t, alice, "", "send", "--to", to, "1.5", "ADA", "--unsigned", file, "--valid-for", "1s").wants(t, 0)
		b.tally(t, alice, "", "sign", file, "-y", "--out", file+".witness").wants(t, 0)
		b.tally(t, bob, "", "submit", file, "--witness", file+".witness", "--out", signed).wants(t, 0)
		b.past(t, signed)
		b.tally(t, bob, "", "submit", signed).wants(t, exitRejected, "it has expired", "make it anew")
	})

	t.Run("spent since", func(t *testing.T) {
		giver, taker := all["giver"], all["taker"]
		gave := b.tally(t, giver.home, "", "send", "-y", "--all", "--to", taker.at.String(), "--valid-for", "5s")
		gave.wants(t, 0)
		b.tally(t, taker.home, "", "send", "-y", "--all", "--to", giver.at.String()).wants(t, 0)
		file := filepath.Join(giver.home, "sent", strings.TrimSpace(gave.out)+".tx")
		b.tally(t, bob, "", "submit", file).wants(t, exitRejected, "it may have been in the chain", "before you pay again")
		b.past(t, file)
		if a := b.tally(t, bob, "", "submit", file); strings.Contains(a.err, "make it anew") {
			t.Errorf("what was paid is to be paid again:\n%s", a.err)
		}
	})

	t.Run("a transaction of somebody else", func(t *testing.T) {
		file := filepath.Join(b.dir, "foreign")
		b.tally(t, bob, "", "send", "--to", fromAlice.String(), "1.5", "ADA", "--unsigned", file).wants(t, 0)
		b.tally(t, alice, "", "sign", file).wants(t, exitWallet, "spends nothing of this wallet", "nothing was signed")
		b.tally(t, bob, "", "sign", file, "-y", "--cip30").wants(t, 0, "of yours", "pays", "returns", "you have 1.", "ADA less", "a100d90102")
	})

	t.Run("at the same time", func(t *testing.T) {
		home, at := all["busy"].home, all["busy"].at
		his := b.at(t, toBob)
		var wg sync.WaitGroup
		answers := make([]answer, 4)
		for i := range answers {
			wg.Go(func() { answers[i] = b.tally(t, home, "", "send", "-y", "--to", to, "5", "ADA") })
		}
		wg.Wait()
		for _, a := range answers {
			a.wants(t, 0)
		}
		if more, err := b.at(t, toBob).Sub(his); err != nil || more.Coin != 20_000_000 {
			t.Errorf("bob has %v more: %v", more, err)
		}
		b.tally(t, home, "", "send", "-y", "--to", to, "--all").wants(t, 0)
		if left := b.at(t, at); left.Coin != 0 {
			t.Errorf("%v is left", left)
		}
		b.tally(t, home, "", "send", "-y", "--to", to, "1", "ADA").wants(t, exitFunds, "insufficient funds")
		b.tally(t, home, "", "balance").wants(t, 0, "ADA      0")
	})

	t.Run("killed", func(t *testing.T) { b.killed(t, all["killed"], toBob) })

	t.Run("stake, killed", func(t *testing.T) { b.stakeKilled(t, all["staker"]) })

	t.Run("tidy", func(t *testing.T) {
		home, at := all["small"].home, all["small"].at
		b.tally(t, home, "", "balance", "-o", "json").wants(t, 0, `"collateral": true`)
		b.tally(t, home, "y\n", "tidy").wants(t, 0, "9 NTX", "leave this wallet. Send?")
		us, err := b.node.UTxOs(t.Context(), at)
		if err != nil || len(us) > 3 {
			t.Errorf("%d outputs: %v", len(us), err)
		}
		one, mixed, poor := all["one"].home, all["mixed"].home, all["poor"].home
		b.tally(t, one, "", "send", "-y", "--to", to, "20", "ADA").wants(t, 0) // out of its only output; five ADA stay apart
		b.tally(t, one, "", "tidy", "-y").wants(t, 0, "Nothing to do")
		b.tally(t, one, "", "send", "-y", "--to", to, "36", "ADA").wants(t, exitFunds, "insufficient funds")
		b.tally(t, one, "", "send", "-y", "--to", to, "30", "ADA").wants(t, 0)
		b.tally(t, one, "", "utxos").wants(t, 0, "5 ADA", "collateral")
		b.tally(t, mixed, "", "tidy", "-y").wants(t, 0)
		b.tally(t, mixed, "", "utxos").wants(t, 0, "5 ADA", "collateral", "0.000005 NTX, 24.")
		b.tally(t, mixed, "", "tidy", "-y").wants(t, 0, "Nothing to do")
		b.tally(t, poor, "", "tidy", "-y").wants(t, exitFunds, "no collateral", "send it ten ADA")
	})

	t.Run("how deep", func(t *testing.T) { b.deep(t, alice) })

	t.Run("nothing secret is written down", func(t *testing.T) {
		b.keepsSecrets(t, words)
	})
}

// deep looks at standings: they are not known without an index, and add up with one, whoever works on it.
func (b *bank) deep(t *testing.T, home string) {
	b.tally(t, home, "", "balance").wants(t, 0, "tally status makes one")
	b.tally(t, home, "", "utxos").wants(t, 0, "not known")
	b.tally(t, home, "", "balance", "-o", "json").wants(t, 0, `"standing": null`)
	env := []string{"TALLY_WALLET_PASSPHRASE=the passphrase of " + filepath.Base(home), "TALLY_NETWORK=" + filepath.Join(b.dir, "network.json")}
	b.run(t, home, "", env, "status").wants(t, 0)
	look := func() {
		t.Helper()
		b.tally(t, home, "", "balance").wants(t, 0, "all", "pending", "confirmed", "settled")
		a := b.tally(t, home, "", "balance", "-o", "json")
		a.wants(t, 0)
		var said struct {
			jsonValue
			Standing standingJSON
		}
		if err := json.Unmarshal([]byte(a.out), &said); err != nil {
			t.Fatal(err)
		}
		var sum chain.Lovelace
		for _, v := range said.Standing {
			sum += v.Lovelace
		}
		if len(said.Standing) != 3 || sum != said.Lovelace || said.Standing[index.Confirmed].Lovelace == 0 {
			t.Errorf("%s", a.out)
		}
		b.tally(t, home, "", "utxos").wants(t, 0, "confirmed, ", " deep", "collateral")
	}
	look()
	f, err := lockHome(home)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	look()
	b.tally(t, home, "", "balance").wants(t, 0, "another tally follows the chain here")
}

// keepsSecrets looks for the words, the passphrase and the private key in all that was logged and in every file.
func (b *bank) keepsSecrets(t *testing.T, words string) {
	s := wallet.Secret{Mnemonic: words}
	files, err := s.KeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	private := files["payment.skey"].CBORHex
	secrets := []string{strings.Join(strings.Fields(words)[:3], " "), "the passphrase of", private[4:68], private[68:132]}
	look := func(where, text string) {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s has %.12q…", where, s)
			}
		}
	}
	look("standard error", b.heard.String())
	seen := 0
	err = filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if strings.HasPrefix(path, filepath.Join(b.dir, "node")) {
			return nil // the node's own
		}
		text, err := os.ReadFile(path)
		seen++
		look(path, string(text))
		return err
	})
	if err != nil || seen < 10 {
		t.Errorf("%d files looked at: %v", seen, err)
	}
}
