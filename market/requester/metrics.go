package requester

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/market"
)

// metricsName is where programs leave metrics in their output directory: one JSON object a line.
const metricsName = "metrics.jsonl"

// maxMetrics bounds what is read of one shard's metrics.
const maxMetrics = 16 << 20

// maxRows and maxColumns bound the table that is made of metrics: what a shard reports beyond is passed by.
const (
	maxRows    = 50_000 // of a shard
	maxColumns = 256
)

// metricsFile is a shard's metrics as far as they are known: live ones until its outputs are here.
func (j *job) metricsFile(shard uint32) string {
	return j.dir("metrics", shardName(shard)+".jsonl")
}

// tail grows a file by the newest lines of a log that is only seen in overlapping pieces.
type tail struct {
	path string
	last []string // at most market.MaxMetrics
}

func openTail(path string) *tail {
	t := &tail{path: path}
	f, err := os.Open(path)
	if err != nil {
		return t
	}
	defer func() { _ = f.Close() }()
	for sc := bufio.NewScanner(io.LimitReader(f, maxMetrics)); sc.Scan(); {
		if t.last = append(t.last, sc.Text()); len(t.last) > market.MaxMetrics {
			t.last = t.last[1:]
		}
	}
	return t
}

// add finds the lines that are new, and appends them to the file if it is to be written.
func (t *tail) add(lines []string, write bool) (more []string, err error) {
	for _, l := range lines {
		if !json.Valid([]byte(l)) || strings.Contains(l, "\n") {
			return nil, nil
		}
	}
	overlap := min(len(t.last), len(lines))
	for ; overlap > 0; overlap-- {
		if slices.Equal(t.last[len(t.last)-overlap:], lines[:overlap]) {
			break
		}
	}
	if more = lines[overlap:]; len(more) == 0 {
		return nil, nil
	}
	t.last = append(t.last, more...)
	t.last = t.last[max(0, len(t.last)-market.MaxMetrics):]
	if !write {
		return more, nil
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return more, err
	}
	f, err := os.OpenFile(t.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return more, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, l := range more {
		if _, err := io.WriteString(f, l+"\n"); err != nil {
			return more, err
		}
	}
	return more, nil
}

// keepMetrics puts a shard's own metrics, now that its outputs are here, in the place of the live ones.
func (j *job) keepMetrics(shard uint32) error {
	in, err := openOutput(j.outputDir(shard), metricsName)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return writeFile(j.metricsFile(shard), io.LimitReader(in, maxMetrics), false)
}

// openOutput opens a file that a stranger's program left.
func openOutput(dir, name string) (io.ReadCloser, error) {
	info, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	return executor.OpenOutput(dir, executor.OutputFile{Path: name, Size: info.Size()})
}

// readMetrics reads the objects of a shard's metrics; what is not one is passed by.
func (j *job) readMetrics(shard uint32) (rows []map[string]any, err error) {
	f, err := os.Open(j.metricsFile(shard))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	for sc := bufio.NewScanner(io.LimitReader(f, maxMetrics)); len(rows) < maxRows && sc.Scan(); {
		var row map[string]any
		if json.Unmarshal(sc.Bytes(), &row) == nil {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// writeCSV joins all shards' metrics in one table: the shard, the step, then every other name in order.
func (j *job) writeCSV(shards []uint32) (err error) {
	all, names := map[uint32][]map[string]any{}, map[string]bool{}
	for _, s := range shards {
		if all[s], err = j.readMetrics(s); err != nil {
			return err
		}
		for _, row := range all[s] {
			for n := range row {
				if len(names) < maxColumns {
					names[n] = true
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	columns := []string{"step"}
	delete(names, "step")
	for n := range names {
		columns = append(columns, n)
	}
	slices.Sort(columns[1:])
	var table bytes.Buffer
	c := csv.NewWriter(&table)
	if err := c.Write(append([]string{"shard"}, columns...)); err != nil {
		return err
	}
	for _, s := range shards {
		for _, row := range all[s] {
			line := []string{strconv.FormatUint(uint64(s), 10)}
			for _, n := range columns {
				line = append(line, cell(row[n]))
			}
			if err := c.Write(line); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return writeFile(j.dir("metrics.csv"), &table, false)
}

func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case string:
		return x
	}
	return fmt.Sprint(v)
}
