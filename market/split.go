package market

import (
	"bytes"
	"fmt"
	"slices"
)

// Range is bytes [From, To) of a file.
type Range struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Part is one shard's part of a file: Header, then Body. Header is empty but for SplitRows.
type Part struct {
	Header Range `json:"header"`
	Body   Range `json:"body"`
}

// Of is the part's bytes in data, the file that was split.
func (p Part) Of(data []byte) []byte {
	return slices.Concat(data[p.Header.From:p.Header.To], data[p.Body.From:p.Body.To])
}

// SplitFile shares one file over count shards. Parts are contiguous, in shard order, together exactly the file, and
// of equal size: with n records, the first n mod count shards get one more than the others. A record is
//
//   - lines, by-shard: a line with its "\n"; a last line without one counts
//   - rows: the same, but the first line is a header that every part starts with
//   - bytes: a byte
//
// A shard without a record is ErrSplit, as is any other way to split.
func SplitFile(how Split, data []byte, count uint32) ([]Part, error) {
	var header Range
	var ends []int // end of each record
	switch how {
	case SplitBytes:
		return splitBytes(len(data), count)
	case SplitRows:
		header.To = bytes.IndexByte(data, '\n') + 1
		if header.To == 0 {
			return nil, fmt.Errorf("no header line: %w", ErrSplit)
		}
	case SplitLines, SplitByShard:
	default:
		return nil, fmt.Errorf("split: %s is for a directory: %w", how, ErrSplit)
	}
	for at := header.To; at < len(data); {
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			at += n + 1
		} else {
			at = len(data)
		}
		ends = append(ends, at)
	}
	shares, err := portions(len(ends), count, "lines")
	if err != nil {
		return nil, err
	}
	parts := make([]Part, count)
	from := header.To
	for i, s := range shares {
		parts[i] = Part{Header: header, Body: Range{from, ends[s.To-1]}}
		from = ends[s.To-1]
	}
	return parts, nil
}

func splitBytes(size int, count uint32) ([]Part, error) {
	shares, err := portions(size, count, "bytes")
	if err != nil {
		return nil, err
	}
	parts := make([]Part, count)
	for i, s := range shares {
		parts[i].Body = s
	}
	return parts, nil
}

// SplitDir shares the files of a directory, given by their slash-separated paths, over count shards: sorted by path,
// contiguous, in equal numbers as SplitFile does with records. For SplitFiles and SplitByShard.
func SplitDir(how Split, files []string, count uint32) ([][]string, error) {
	if how != SplitFiles && how != SplitByShard {
		return nil, fmt.Errorf("split: %s is for a file, not for a directory: %w", how, ErrSplit)
	}
	sorted := slices.Sorted(slices.Values(files))
	shares, err := portions(len(sorted), count, "files")
	if err != nil {
		return nil, err
	}
	parts := make([][]string, count)
	for i, s := range shares {
		parts[i] = sorted[s.From:s.To]
	}
	return parts, nil
}

// portions divides n records over count shards.
func portions(n int, count uint32, what string) ([]Range, error) {
	k := int(count)
	if k == 0 || n < k {
		return nil, fmt.Errorf("%d %s over %d shards: %w; use at most %d shards", n, what, k, ErrSplit, n)
	}
	shares := make([]Range, k)
	from := 0
	for i := range shares {
		to := from + n/k
		if i < n%k {
			to++
		}
		shares[i] = Range{from, to}
		from = to
	}
	return shares, nil
}
