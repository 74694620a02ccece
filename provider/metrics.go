package provider

import (
	"bytes"
	"encoding/json"
	"os"
	"syscall"
	"unicode/utf8"

	"github.com/tallycompute/tally/market"
)

const (
	metricsFile = "metrics.jsonl" // where the SDK writes metrics, below the output directory
	metricsTail = 256 << 10       // how much of its end is looked at, in bytes
)

// metricLines are the last lines of a shard's metrics, as the program wrote them; none if there are none or the file
// is not one to be trusted. It may be written meanwhile.
func metricLines(outDir string) []string {
	var lines []string
	for l := range bytes.Lines(readTail(outDir, metricsFile, metricsTail)) {
		l = bytes.TrimSuffix(l, []byte("\n"))
		if len(l) > 0 && len(l) <= market.MaxMetric && utf8.Valid(l) && json.Valid(l) {
			lines = append(lines, string(l))
		}
	}
	return lines
}

// readTail reads the end of a file that a stranger's program may have put there, or anything else under its name: it
// follows no link out of dir, waits for no pipe, and reads no device.
func readTail(dir, name string, most int64) []byte {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }()
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	from := max(info.Size()-most, 0)
	b := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(b, from) // a file cut short meanwhile gives what is left
	b = b[:n]
	if from > 0 {
		_, b, _ = bytes.Cut(b, []byte("\n")) // the first line may lack its beginning
	}
	return b
}

// newest are the last lines, at most so many and of so many bytes together.
func newest(lines []string, most, size int) []string {
	i := len(lines)
	for i > 0 && len(lines)-i < most && size >= len(lines[i-1]) {
		i--
		size -= len(lines[i])
	}
	return lines[i:]
}

// lastParameters is the newest parameter hash among metrics.
func lastParameters(lines []string) (step uint64, hash market.Hash) {
	for _, l := range lines {
		var m struct {
			Step uint64      `json:"step"`
			Hash market.Hash `json:"parameter_hash"`
		}
		if json.Unmarshal([]byte(l), &m) == nil && !m.Hash.IsZero() {
			step, hash = m.Step, m.Hash
		}
	}
	return step, hash
}
