package market

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// JobError is one thing wrong with a job file.
type JobError struct {
	Line    int    `json:"line"`
	Field   string `json:"field"` // dotted path, such as resources.memory_gib or inputs[0].mount; empty: the file itself
	Message string `json:"message"`
}

func (e JobError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Field, e.Message)
}

// JobErrors is everything wrong with a job file, by line. It is an ErrJobFile.
type JobErrors []JobError

func (e JobErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Is makes errors.Is(err, ErrJobFile) true.
func (e JobErrors) Is(target error) bool { return target == ErrJobFile }

func (e JobErrors) sorted() JobErrors {
	slices.SortStableFunc(e, func(a, b JobError) int { return cmp.Compare(a.Line, b.Line) })
	return e
}

// keysMeant are keys that people write out of habit from other tools, and what they mean here.
var keysMeant = map[string]string{
	"cmd": "run", "command": "run", "entrypoint": "run", "script": "run", "program": "run",
	"env": "envs", "environment": "envs", "type": "kind", "container": "image", "docker_image": "image",
	"input": "inputs", "data": "inputs", "volumes": "inputs", "output": "outputs", "timeout": "timeouts",
	"cpu": "cpus", "cores": "cpus", "vcpus": "cpus",
	"memory": "memory_gib", "mem": "memory_gib", "ram": "memory_gib", "memory_gb": "memory_gib",
	"memory_mb": "memory_gib", "memory_mib": "memory_gib", "mem_gb": "memory_gib",
	"disk": "disk_gib", "disk_gb": "disk_gib", "disk_mb": "disk_gib", "disk_mib": "disk_gib",
	"disk_size": "disk_gib", "storage": "disk_gib",
	"max": "max_ntx", "max_price": "max_ntx", "ntx": "max_ntx", "max_untx": "max_ntx", "limit": "max_ntx",
	"n": "count", "replicas": "count", "num": "count", "minimum": "min",
	"src": "path", "source": "path", "target": "mount", "dst": "mount", "how": "split", "mode": "gather",
}

// didYouMean names the key of `known` that was probably meant.
func didYouMean(key string, known []string) (string, bool) {
	low := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if m, ok := keysMeant[low]; ok && slices.Contains(known, m) {
		return m, true
	}
	best, at := "", 1+max(1, len(low)/3)
	for _, k := range known {
		if d := editDistance(low, k); d < at {
			best, at = k, d
		}
	}
	for _, habit := range slices.Sorted(maps.Keys(keysMeant)) {
		if k := keysMeant[habit]; best == "" && len(habit) > 3 && slices.Contains(known, k) && editDistance(low, habit) == 1 {
			best = k
		}
	}
	return best, best != ""
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours from a to b.
func editDistance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			sub := prev[j-1]
			if a[i-1] != b[j-1] {
				sub++
			}
			cur[j] = min(sub, prev[j]+1, cur[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
