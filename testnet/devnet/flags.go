package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"

	"github.com/tallycompute/tally/testnet/devnet/internal/node"
)

type options struct {
	dir        string
	wanted     node.Wanted
	level      slog.Level
	stdinGuard bool

	startWithin time.Duration
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("tally-devnet run", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.dir, "dir", "", "`directory` of the chain: state, keys, socket, log (made with mode 0700)")
	magic := fs.Uint64("magic", node.DefaultMagic, "network magic")
	slot := fs.Duration("slot-length", node.DefaultSlotLength, "length of a slot, whole milliseconds")
	epoch := fs.Uint64("epoch-length", node.DefaultEpochLength, "`slots` in an epoch")
	major := fs.Uint("protocol-major", node.DefaultProtocolMajor, "protocol major version: 9, 10 or 11")
	funds := map[string]uint64{}
	fs.Func("fund", "`ADDRHEX=LOVELACE` of a genesis output (repeat for more)", func(v string) error {
		addr, amount, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want ADDRHEX=LOVELACE")
		}
		n, err := strconv.ParseUint(amount, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no number of lovelace", amount)
		}
		return addFund(funds, addr, n)
	})
	fs.Func("funds-file", "JSON `file` {\"ADDRHEX\": LOVELACE, …} of genesis outputs", func(v string) error {
		b, err := os.ReadFile(v)
		if err != nil {
			return err
		}
		m := map[string]uint64{}
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("%s is not {\"ADDRHEX\": LOVELACE, …}: %w", v, err)
		}
		for a, n := range m {
			if err := addFund(funds, a, n); err != nil {
				return err
			}
		}
		return nil
	})
	producers := fs.Int("producers", 1, "block producers: 1, or 2 of which one follows the other until their link is cut")
	o.wanted.Params = map[string]string{}
	fs.Func("param", "`NAME=VALUE` of a protocol parameter of a new chain, in place of mainnet's (repeat for more)", func(v string) error {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want NAME=VALUE")
		}
		o.wanted.Params[name] = value
		return nil
	})
	fs.TextVar(&o.level, "log-level", slog.LevelWarn, "least `level` of DIR/node.log: debug, info, warn, error")
	fs.BoolVar(&o.stdinGuard, "stdin-guard", false, "stop when standard input closes, so that a dead parent leaves no orphan")
	fs.DurationVar(&o.startWithin, "start-within", 0, "fail when no block is forged within this time (default 3m, 1ms per slot of the epoch and 10 slots)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(os.Stderr)
			fs.Usage()
		}
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.dir == "" {
		return o, errors.New("say where the chain lives: --dir DIR")
	}
	if *magic > 1<<32-1 {
		return o, fmt.Errorf("%w: network magic %d does not fit 32 bits", node.ErrSettings, *magic)
	}
	if o.startWithin < 0 {
		return o, fmt.Errorf("%w: no start takes %s", node.ErrSettings, o.startWithin)
	}
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "magic":
			m := uint32(*magic)
			o.wanted.Magic = &m
		case "slot-length":
			o.wanted.SlotLength = slot
		case "epoch-length":
			o.wanted.EpochLength = epoch
		case "protocol-major":
			o.wanted.ProtocolMajor = major
		case "producers":
			o.wanted.Producers = producers
		case "fund", "funds-file":
			o.wanted.Funds = funds
		}
	})
	return o, nil
}

// addFund adds a genesis output to the address with these hexadecimal bytes.
func addFund(funds map[string]uint64, addr string, lovelace uint64) error {
	b, err := hex.DecodeString(addr)
	if err != nil {
		return fmt.Errorf("%q is no hexadecimal address", addr)
	}
	a, err := lcommon.NewAddressFromBytes(b)
	if err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	if kind := b[0] >> 4; kind > 7 || a.NetworkId() != 0 {
		return fmt.Errorf("%s is no Shelley payment address of a test network", addr)
	}
	key := hex.EncodeToString(b)
	if _, twice := funds[key]; twice {
		return fmt.Errorf("%s is funded twice: one genesis output per address", addr)
	}
	if lovelace == 0 {
		return fmt.Errorf("%s: no lovelace", addr)
	}
	funds[key] = lovelace
	return nil
}
