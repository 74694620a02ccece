package provider

import (
	"fmt"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// Config is what this machine sells, and how carefully.
type Config struct {
	RateUNTX   uint64               // per shard-second
	BondBps    uint16               // of the price, in hundredths of a percent
	PenaltyBps uint16               // of the price, at most the bond's
	Capacity   market.Capacity      // of all shards together
	GPUs       []market.GPU         // none: CPU only
	Isolation  executor.Isolation   // what the engine says of itself
	OS, Arch   string               // of the machine
	Region     string               // where it is, in two letters or so; may be empty
	Images     []market.ImageDigest // that the engine has
	Addrs      func() []string      // multiaddrs under which peers reach us
	Trust      Trust                // who may decide on this provider's results

	OfferLife   time.Duration // an offer is good for so long, and published anew at half of it
	QuoteLife   time.Duration // a quote holds capacity and bond for so long
	MaxLockTime time.Duration // the longest time after a quote that an opening may stay valid
	MaxUnpaid   uint64        // µNTX, of all work that is quoted, under way or not paid yet; 0: no bound
	MaxQuotes   int           // that one requester may hold at a time without an opening
	Round       time.Duration // a broken collective meets again at full rounds of the clock: the same for all providers
	Margin      time.Duration // what a block may take to be seen, and not to be undone any more
	Validity    time.Duration // of our own transactions
	Policy      escrow.Policy
	ArenaBytes  int64 // shared memory of a shard in a collective, part of the job's memory
}

// maxRate is what an offer may ask at most; prices stay far from overflow.
const maxRate = 1_000_000_000

// Defaults fills in what is not set.
func (c Config) Defaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.OfferLife, 10*time.Minute)
	def(&c.QuoteLife, time.Minute)
	def(&c.MaxLockTime, 10*time.Minute)
	def(&c.Validity, 5*time.Minute)
	def(&c.Round, 20*time.Second)
	def(&c.Margin, 30*time.Second)
	if c.MaxQuotes == 0 {
		c.MaxQuotes = 4
	}
	if c.BondBps == 0 && c.PenaltyBps == 0 {
		c.BondBps, c.PenaltyBps = market.DefaultBondBps, market.DefaultPenaltyBps
	}
	if c.ArenaBytes == 0 {
		c.ArenaBytes = 64 << 20
	}
	return c
}

func millis(d time.Duration) chain.Time { return chain.Time(d.Milliseconds()) }

// Validate refuses a configuration that no requester could use.
func (c Config) Validate() error {
	switch {
	case c.RateUNTX == 0 || c.RateUNTX > maxRate:
		return fmt.Errorf("a rate of %d µNTX per shard-second, want 1 to %d: %w", c.RateUNTX, uint64(maxRate), ErrConfig)
	case c.PenaltyBps > c.BondBps || c.BondBps > 10_000:
		return fmt.Errorf("bond %d and penalty %d basis points: 0 ≤ penalty ≤ bond ≤ 10000: %w", c.BondBps, c.PenaltyBps, ErrConfig)
	case c.Capacity.Slots == 0 || c.Capacity.MilliCPU == 0 || c.Capacity.MemoryMiB == 0 || c.Capacity.DiskMiB == 0:
		return fmt.Errorf("no capacity for sale: %w", ErrConfig)
	case len(c.Images) == 0:
		return fmt.Errorf("no image for sale: the engine has none of those configured: %w", ErrConfig)
	}
	return nil
}
