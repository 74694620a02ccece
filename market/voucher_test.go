package market

import (
	"strings"
	"testing"
)

func TestEarned(t *testing.T) {
	terms := Terms{VoucherEvery: 10 * Second, Timeouts: Timeouts{Run: 60 * Second}}
	for worked, want := range map[Millis]uint64{
		-Second: 0, 0: 0, 10*Second - 1: 0, 10 * Second: 166, 19 * Second: 166, 20 * Second: 333, 59 * Second: 833, 60 * Second: 1000, Day: 1000,
	} {
		if got := terms.EarnedUNTX(1000, worked); got != want {
			t.Errorf("after %s %d are earned, not %d", worked, got, want)
		}
	}
	terms.VoucherEvery, terms.Timeouts.Run = 7*Second, 20*Second // the last unit is shorter
	if got := terms.EarnedUNTX(maxPrice, 14*Second); got != maxPrice*7/10 {
		t.Errorf("%d", got)
	}
	terms.VoucherEvery = 0
	if terms.EarnedUNTX(1000, Day) != 0 {
		t.Error("earned without vouchers")
	}
}

func TestVoucherTerms(t *testing.T) {
	req, a := newParty(t, 1), newParty(t, 2)
	terms := disputable(t, req, a)
	terms.VoucherEvery = Second
	if err := terms.Validate(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*Terms){
		"too often":  func(t *Terms) { t.VoucherEvery = Second - 1 },
		"too seldom": func(t *Terms) { t.VoucherEvery = t.Timeouts.Run + 1 },
		"no key":     func(t *Terms) { t.VoucherKey, t.Disputes = Key{}, nil },
		"training":   func(t *Terms) { t.Disputes, t.Kind, t.Task.Collective, t.Ring = nil, Training, true, []uint32{0} },
	} {
		x := terms
		change(&x)
		if err := x.Validate(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	job := "version: 1\nname: n\nimage: i\nrun: r\nbudget: {max_ntx: 1, voucher_every: 30s}\ntimeouts: {run: 1m}\n"
	if j, err := ParseJob([]byte(job)); err != nil || j.Vouchers != 30*Second || j.Budget != UNTX {
		t.Errorf("%+v %v", j, err)
	}
	for change, says := range map[string]string{"run: 1m": "30s is more than timeouts.run 20s", "run: r\n": "no vouchers yet"} {
		bad := strings.Replace(job, change, map[string]string{"run: 1m": "run: 20s", "run: r\n": "run: r\nkind: training\n"}[change], 1)
		if _, err := ParseJob([]byte(bad)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v", err)
		}
	}
}
