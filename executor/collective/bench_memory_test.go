//go:build bench && linux

package collective

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/tallycompute/tally/testnet/measure"
)

// benchMemory has fresh processes sum a tensor, and gives the most that each held beside it.
func benchMemory(t *testing.T) (all []measure.Measure) {
	const n = 4
	for _, b := range benched {
		if b.bytes < 1<<20 {
			continue
		}
		beside := func(c *crew, what string) float64 {
			c.run(t, what, b.bytes, 2, map[string][]float64{}, map[string][]float64{})
			var each []float64
			for _, cmd := range c.cmds {
				each = append(each, float64(mostHeld(t, cmd.Process.Pid)-b.bytes)/(1<<20))
			}
			c.dismiss(t)
			return middle(each)
		}
		gloo := beside(glooCrew(t, n), "ring")
		for _, wire := range []string{"f32", "bf16", "int8", "top1%"} {
			all = append(all, measure.Measure{Name: fmt.Sprintf("memory/%s/%s/n=%d", wire, b.name, n), Value: beside(ourCrew(t, n), wire), Unit: "MiB"}.
				AgainstTime(gloo, "Gloo ring's process, the same run: the most that a rank held, without its tensor"))
		}
	}
	return all
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// mostHeld is the most memory that a process had resident so far, in bytes.
func mostHeld(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
