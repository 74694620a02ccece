package market

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// reader walks a YAML tree and keeps everything that is wrong with it.
type reader struct{ errs JobErrors }

func (r *reader) fail(n *yaml.Node, field, format string, args ...any) {
	r.errs = append(r.errs, JobError{Line: n.Line, Field: field, Message: fmt.Sprintf(format, args...)})
}

// field is a key that a mapping may have. A key that is absent, or has no value, is not read; if it is needed, that
// is an error with the reason.
type field struct {
	key    string
	read   func(n *yaml.Node, path string)
	needed string
}

// mapping reads n, a mapping of these fields. Keys in later are known, but not supported yet.
func (r *reader) mapping(n *yaml.Node, path string, fields []field, later ...string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "want keys and values, found %s", found(n))
		return
	}
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.key
	}
	seen, meant := map[string]bool{}, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := join(path, k.Value)
		ix := slices.Index(known, k.Value)
		switch {
		case seen[k.Value]:
			r.fail(k, at, "given twice")
		case slices.Contains(later, k.Value):
			r.fail(k, at, "not supported yet; supported keys: %s", strings.Join(known, ", "))
		case ix < 0:
			if m, ok := didYouMean(k.Value, known); ok {
				r.fail(k, at, "unknown key; did you mean %s?", m)
				meant[m] = true // the value is there, under another name
			} else {
				r.fail(k, at, "unknown key; supported keys: %s", strings.Join(known, ", "))
			}
		case v.Kind == yaml.AliasNode:
			r.fail(v, at, "aliases are not supported; write the value out")
		case !null(v):
			fields[ix].read(v, at)
		default:
			continue // no value: as if absent
		}
		seen[k.Value] = true
	}
	for _, f := range fields {
		if f.needed != "" && !seen[f.key] && !meant[f.key] {
			r.fail(n, join(path, f.key), "missing; %s", f.needed)
		}
	}
}

// list reads each item of n, a list of at most limit items.
func (r *reader) list(n *yaml.Node, path string, limit int, item func(n *yaml.Node, path string)) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n, path, "want a list, found %s", found(n))
		return
	}
	if len(n.Content) > limit {
		r.fail(n, path, "%d items, at most %d", len(n.Content), limit)
		return
	}
	for i, c := range n.Content {
		item(c, fmt.Sprintf("%s[%d]", path, i))
	}
}

// text reads a scalar as it is written, at most limit bytes.
func (r *reader) text(n *yaml.Node, path string, limit int) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.fail(n, path, "want text, found %s", found(n))
	case strings.TrimSpace(n.Value) == "":
		r.fail(n, path, "empty")
	case len(n.Value) > limit:
		r.fail(n, path, "%d bytes, at most %d", len(n.Value), limit)
	case strings.ContainsRune(n.Value, 0):
		r.fail(n, path, "holds a zero byte")
	default:
		return n.Value, true
	}
	return "", false
}

// oneOf reads one of the words in want; those in later are known, but not supported yet.
func (r *reader) oneOf(n *yaml.Node, path string, want []string, later ...string) (string, bool) {
	s, ok := r.text(n, path, 64)
	switch {
	case !ok:
	case slices.Contains(want, s):
		return s, true
	case slices.Contains(later, s):
		r.fail(n, path, "%s is not supported yet; use %s", s, strings.Join(want, ", "))
	default:
		if m, ok := didYouMean(s, want); ok {
			r.fail(n, path, "%q is unknown; did you mean %s?", s, m)
		} else {
			r.fail(n, path, "%q is unknown; use %s", s, strings.Join(want, ", "))
		}
	}
	return "", false
}

// count reads a whole number between lo and hi.
func (r *reader) count(n *yaml.Node, path string, lo, hi uint32) (uint32, bool) {
	s, ok := r.text(n, path, 32)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v < uint64(lo) || v > uint64(hi) {
		r.fail(n, path, "%q: want a whole number from %d to %d", s, lo, hi)
		return 0, false
	}
	return uint32(v), true
}

// quantity reads a decimal number and returns it times scale, rounded up; at least 1 and at most limit × scale.
func (r *reader) quantity(n *yaml.Node, path, unit string, scale, limit uint64) (uint64, bool) {
	s, ok := r.text(n, path, 32)
	if !ok {
		return 0, false
	}
	end := strings.LastIndexAny(s, "0123456789") + 1
	whole, frac, dot := strings.Cut(s[:end], ".")
	if !digits(whole) || dot && !digits(frac) {
		r.fail(n, path, "%q: want a number of %s", s, unit)
		return 0, false
	}
	if s != s[:end] {
		r.fail(n, path, "%q: write %s; it counts %s", s, inUnit(s[:end], strings.TrimSpace(s[end:]), unit), unit)
		return 0, false
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok || v.Sign() <= 0 || v.Cmp(new(big.Rat).SetUint64(limit)) > 0 {
		r.fail(n, path, "%s: want more than 0 and at most %d %s", s, limit, unit)
		return 0, false
	}
	v.Mul(v, new(big.Rat).SetUint64(scale))
	up := new(big.Int).Sub(v.Denom(), big.NewInt(1))
	return up.Add(up, v.Num()).Div(up, v.Denom()).Uint64(), true
}

// inUnit is number, given in mebibytes or millicores, in gibibytes or cores; any other unit is taken for the right one.
func inUnit(number, given, unit string) string {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return number
	}
	switch g := strings.ToLower(given); {
	case unit == "GiB" && (g == "m" || g == "mb" || g == "mib"):
		f /= 1024
	case unit == "GiB" && (g == "t" || g == "tb" || g == "tib"):
		f *= 1024
	case unit == "cores" && g == "m":
		f /= 1000
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// span reads a duration between lo and hi.
func (r *reader) span(n *yaml.Node, path string, lo, hi Millis) (Millis, bool) {
	s, ok := r.text(n, path, 64)
	if !ok {
		return 0, false
	}
	m, err := parseMillis(s)
	switch {
	case err != nil:
		r.fail(n, path, "%v", err)
	case m < lo || m > hi:
		r.fail(n, path, "%s: want from %s to %s", s, lo, hi)
	default:
		return m, true
	}
	return 0, false
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
