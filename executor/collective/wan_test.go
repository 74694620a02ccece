//go:build bench && linux

package collective

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycompute/tally/testnet/measure"
	"golang.org/x/sys/unix"
)

// A wan is a link between two network namespaces: a TUN device in each, and this process between them, which delays each
// packet, lets through so many bits a second with a queue of one round trip before it, and loses some.
type wan struct {
	name  string
	rate  float64 // bits a second, of whole packets
	rtt   time.Duration
	loss  float64
	drops atomic.Int64 // those that the full queue lost
}

const (
	wanMTU = 1500
	// wanPayload is what TCP carries in a full packet: without its head of 32 bytes (with timestamps) and IP's of 20.
	wanPayload = wanMTU - 32 - 20
)

// wanPacket has left the queue at a time; it arrives one way's delay later.
type wanPacket struct {
	due time.Time
	b   []byte
}

// space is the namespace of rank 0 or 1, and address its address there.
func (w *wan) space(rank int) string { return fmt.Sprintf("%s-%d", w.name, rank) }
func wanAddress(rank int) string     { return fmt.Sprintf("10.93.0.%d", rank+1) }

// newWAN makes the link; the test's end takes it away.
func newWAN(t *testing.T, w *wan) {
	t.Helper()
	ip := func(format string, a ...any) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(fmt.Sprintf(format, a...))...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s (this needs root, iproute2 and /dev/net/tun)", fmt.Sprintf(format, a...), err, out)
		}
	}
	w.name = fmt.Sprintf("tallywan%d", os.Getpid())
	var tuns [2]*os.File
	for r := range tuns {
		ip("netns add %s", w.space(r))
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", w.space(r)).Run() })
		device := fmt.Sprintf("tw%d-%d", os.Getpid()%1e6, r)
		tuns[r] = openTUN(t, device)
		ip("link set %s netns %s", device, w.space(r))
		ip("-n %s link set lo up", w.space(r))
		ip("-n %s addr add %s/24 dev %s", w.space(r), wanAddress(r), device)
		ip("-n %s link set %s mtu %d txqueuelen 1000 up", w.space(r), device, wanMTU)
	}
	var wg sync.WaitGroup
	for r := range tuns {
		queue := make(chan wanPacket, 1<<16)
		wg.Go(func() { w.take(tuns[r], queue) })
		wg.Go(func() {
			for p := range queue {
				time.Sleep(time.Until(p.due))
				_, _ = tuns[1-r].Write(p.b) // a device that is gone takes nothing
			}
		})
	}
	t.Cleanup(func() {
		for _, f := range tuns {
			_ = f.Close()
		}
		wg.Wait()
	})
}

// take reads one way's packets until its device is closed.
func (w *wan) take(from *os.File, queue chan<- wanPacket) {
	defer close(queue)
	free := time.Now() // when the line has sent what was let in
	buf := make([]byte, wanMTU+100)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if free.Sub(now) > w.rtt {
			w.drops.Add(1)
			continue
		}
		free = free.Add(time.Duration(float64(n) * 8 / w.rate * float64(time.Second)))
		if rand.Float64() >= w.loss {
			queue <- wanPacket{free.Add(w.rtt / 2), bytes.Clone(buf[:n])}
		}
	}
}

func openTUN(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatalf("/dev/net/tun: %v", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatalf("TUN device %s: %v", name, err)
	}
	return os.NewFile(uintptr(fd), name)
}

// wans are the links, with the bytes to sum: some seconds' worth.
var wans = []struct {
	mbit, ms int
	loss     float64 // percent
	bytes    int
}{
	{500, 20, 0, 128 << 20},
	{500, 50, 0, 128 << 20},
	{500, 50, 0.1, 128 << 20},
	{500, 150, 0.1, 256 << 20},
	{500, 150, 1, 256 << 20},
	{100, 20, 0, 32 << 20},
	{100, 50, 0.1, 32 << 20},
	{100, 150, 1, 64 << 20},
}

// benchWANs sums between two namespaces. Each rank sends as many bytes as there are to sum, so that the link's share is
// those against what it carries in that time.
func benchWANs(t *testing.T) (all []measure.Measure) {
	only := os.Getenv("BENCH_ONLY")
	for _, c := range wans {
		name := fmt.Sprintf("wan/%dmbit_%dms_%gloss/share", c.mbit, c.ms, c.loss)
		if only != "" && !strings.HasPrefix(name, only) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := &wan{rate: float64(c.mbit) * 1e6, rtt: time.Duration(c.ms) * time.Millisecond, loss: c.loss / 100}
			newWAN(t, w)
			ours := rankCrew(t, 2, func(rank int) []string {
				return []string{"ip", "netns", "exec", w.space(rank), "env", "BENCH_LISTEN=/ip4/" + wanAddress(rank) + "/tcp/0"}
			})
			times, cpus := map[string][]float64{}, map[string][]float64{}
			ours.run(t, "f32", c.bytes, 1, times, cpus)
			ours.dismiss(t)
			share := float64(c.bytes) * 8 / (middle(times["f32"]) / 1e6) / w.rate
			most := float64(wanPayload) / wanMTU
			fmt.Printf("bench-collectives: %s is %.3f of the bits, %d lost in the queue\n", name, share, w.drops.Load())
			all = append(all, measure.Measure{Name: name, Value: share, Unit: "of the link's bits"}.
				AgainstRate(most, fmt.Sprintf("the link without TCP's and IP's heads: %d bytes of each %d", wanPayload, wanMTU)))
		})
	}
	return all
}
