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
	"testing"
	"time"

	"github.com/tallycompute/tally/testnet/measure"
	"golang.org/x/sys/unix"
)

// A wan is a link between two network namespaces: a TUN device in each, and this process between them, which delays each
// packet, lets through so many bits a second with a queue of one round trip before it, and loses some.
type wan struct {
	name string
	rate float64 // bits a second, of whole packets
	rtt  time.Duration
	loss float64
}

// mtu is the largest packet. Above 200 Mbit/s they are as large as they come, since this process takes each in its hands.
func (w *wan) mtu() int {
	if w.rate > 200e6 {
		return 9000
	}
	return 1500
}

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
		ip("-n %s link set %s mtu %d txqueuelen 1000 up", w.space(r), device, w.mtu())
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
	buf := make([]byte, w.mtu()+100)
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

// wans are the links, and how many bytes go over them at a time: two seconds' worth, or three.
var wans = []struct {
	mbit, ms int
	loss     float64 // percent
	bytes    int
}{
	{500, 20, 0, 128 << 20},
	{500, 50, 0, 128 << 20},
	{500, 50, 0.1, 128 << 20},
	{500, 150, 0.1, 128 << 20},
	{500, 150, 1, 128 << 20},
	{100, 20, 0, 32 << 20},
	{100, 50, 0.1, 32 << 20},
	{100, 150, 1, 32 << 20},
}

const wanRounds = 3

// overWAN runs a part of the benchmark over a link, if BENCH_ONLY wants it; loss is in percent.
func overWAN(t *testing.T, name string, mbit, ms int, loss float64, do func(t *testing.T, w *wan)) {
	if !strings.HasPrefix(name, os.Getenv("BENCH_ONLY")) {
		return
	}
	t.Run(name, func(t *testing.T) {
		w := &wan{rate: float64(mbit) * 1e6, rtt: time.Duration(ms) * time.Millisecond, loss: loss / 100}
		newWAN(t, w)
		do(t, w)
	})
}

// benchWANs sends and sums between two namespaces. Of a sum each rank sends as many bytes as there are to sum.
func benchWANs(t *testing.T) (all []measure.Measure) {
	for _, c := range wans {
		name := fmt.Sprintf("wan/%dmbit_%dms_%gloss", c.mbit, c.ms, c.loss)
		if !wanted(name) {
			continue
		}
		overWAN(t, name, c.mbit, c.ms, c.loss, func(t *testing.T, w *wan) {
			ours := rankCrew(t, 2, func(rank int) []string {
				return []string{"ip", "netns", "exec", w.space(rank), "env", "BENCH_LISTEN=/ip4/" + wanAddress(rank) + "/tcp/0"}
			})
			times, cpus := map[string][]float64{}, map[string][]float64{}
			for _, r := range []struct {
				what, row         string
				bytes, iterations int
			}{{oneWay, "/share", wanRounds * c.bytes, 1}, {inBuckets, "/allreduce", c.bytes, wanRounds}} {
				ours.run(t, r.what, r.bytes, r.iterations, times, cpus)
				share := float64(r.bytes) * 8 / (middle(times[r.what]) / 1e6) / w.rate
				fmt.Printf("bench-collectives: %s%s is %.3f\n", name, r.row, share)
				all = append(all, measure.Measure{Name: name + r.row, Value: share, Unit: "of the link"}.
					AgainstRate(1, fmt.Sprintf("the link: %d Mbit/s each way in packets of up to %d bytes, with a queue of one round trip", c.mbit, w.mtu())))
			}
			ours.dismiss(t)
		})
	}
	return all
}
