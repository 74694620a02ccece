package requester

import (
	"time"

	"github.com/tallycompute/tally/escrow"
	"github.com/tallycompute/tally/market"
)

// Config is how patiently a requester buys. A zero field takes the default named beside it.
type Config struct {
	LockTime      time.Duration // how long an opening stays valid (60 s)
	LockMargin    time.Duration // after that, until a block with it would have been seen (30 s)
	Margin        market.Millis // in the deadlines: what a transaction may take to get into the chain to stay (2 min)
	Confirmations uint64        // blocks until the opening counts as locked (1)
	Poll          time.Duration // between two questions to a provider (1 s)
	CallTime      time.Duration // for one question (15 s)
	Turns         escrow.Policy // of providers that leave a slice; with the zero value every job is opened in lots
	Unreachable   time.Duration // a provider that does not answer for so long is not waited for where others are enough (15 s)
}

// Defaults fills in what is not set.
func (c Config) Defaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.LockTime, time.Minute)
	def(&c.LockMargin, 30*time.Second)
	def(&c.Poll, time.Second)
	def(&c.CallTime, 15*time.Second)
	def(&c.Unreachable, 15*time.Second)
	if c.Margin == 0 {
		c.Margin = 2 * market.Minute
	}
	if c.Confirmations == 0 {
		c.Confirmations = 1
	}
	return c
}
