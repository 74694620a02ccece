package provider

import (
	"errors"
	"testing"

	"github.com/tallycompute/tally/market"
)

// A provider quotes no more than what may be unpaid at a time.
func TestMaxUnpaid(t *testing.T) {
	c := market.Capacity{Slots: 8, Resources: market.Resources{MilliCPU: 8000, MemoryMiB: 8000, DiskMiB: 8000}}
	d := &Daemon{cfg: Config{RateUNTX: 1000, Capacity: c, MaxQuotes: 9, MaxUnpaid: 10_000}}
	req := market.QuoteRequest{Shards: 1, Timeouts: market.Timeouts{Run: 10 * market.Second}, Resources: market.Resources{MilliCPU: 1, MemoryMiB: 1, DiskMiB: 1}}
	if err := d.fits(nil, "r", req); err != nil {
		t.Error(err)
	}
	req.Timeouts.Run++
	var no market.Refusal
	if err := d.fits(nil, "r", req); !errors.As(err, &no) || no.Code != market.RefusedBusy {
		t.Errorf("%v", err)
	}
	d.cfg.MaxUnpaid = 0
	if err := d.fits(nil, "r", req); err != nil {
		t.Error(err)
	}
}
