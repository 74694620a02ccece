//go:build mutants

package plutus

import (
	"fmt"
	"regexp"
	"strings"
)

// mutation is a contract's source with one check taken out or weakened.
type mutation struct {
	file, label string // the label traced before it, or the function it stands in
	line        int
	what        string
	source      string
}

func (m mutation) String() string {
	return fmt.Sprintf("%s:%d %s: %s", m.file, m.line, m.label, m.what)
}

// name is the mutation, whatever its line.
func (m mutation) name() string { return fmt.Sprintf("%s %s: %s", m.file, m.label, m.what) }

var (
	traceLine = regexp.MustCompile(`^\s*trace @"([^"]+)"$`)
	funcLine  = regexp.MustCompile(`^(?:pub )?fn (\w+)|^\s+(\w+)\(.*\) \{$`)
)

// mutations finds the checks of a source file: what stands after expect, what a function returns right after a trace,
// and the parts of an and. kept are the patterns that cannot be taken out because they name what is used later, and
// cannot be weakened.
func mutations(file, source string) (ms []mutation, kept []string) {
	lines := strings.Split(source, "\n")
	label, traced := "", false
	add := func(i, n int, what, with string) {
		changed := append(append(append([]string{}, lines[:i]...), with), lines[i+n:]...)
		ms = append(ms, mutation{file, label, i + 1, what, strings.Join(changed, "\n")})
	}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if m := traceLine.FindStringSubmatch(lines[i]); m != nil {
			label, traced = m[1], true
			continue
		}
		if m := funcLine.FindStringSubmatch(lines[i]); m != nil && !traced {
			label = m[1] + m[2]
		}
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		after := traced
		traced = false
		switch n := extent(lines, i); {
		case strings.HasPrefix(line, "expect"):
			text := strings.TrimSpace(strings.TrimPrefix(strings.Join(lines[i:i+n], "\n"), lines[i][:strings.Index(lines[i], "expect")]+"expect"))
			if pattern, value, ok := binding(text); ok {
				if weak, ok := longer(pattern); ok {
					add(i, n, "longer lists match", "expect "+weak+" = "+value)
				} else {
					kept = append(kept, fmt.Sprintf("%s:%d %s: what it names is used: %s", file, i+1, label, strings.Join(strings.Fields(pattern), " ")))
				}
				continue
			}
			add(i, n, "taken out", "")
			if left, right, ok := strings.Cut(text, " && "); ok && n == 1 {
				add(i, n, "without the second part", "expect "+left)
				add(i, n, "without the first part", "expect "+right)
			}
		case line == "and {":
			for j := i + 1; j < i+n-1; {
				k := extent(lines, j)
				add(j, k, fmt.Sprintf("without part %d", j-i), "True,")
				j += k
			}
		case strings.Contains(line, " -> ") && strings.Contains(line, " && "):
			before, both, _ := strings.Cut(lines[i], " -> ")
			left, right, _ := strings.Cut(both, " && ")
			add(i, 1, "without the second part", before+" -> "+left)
			add(i, 1, "without the first part", before+" -> "+right)
		case after && !strings.HasPrefix(line, "let ") && !strings.HasPrefix(line, "when ") && !strings.HasPrefix(line, "}"):
			add(i, n, "always true", "True")
		}
	}
	return ms, kept
}

// extent is how many lines the statement takes that begins at line i: to the end of its brackets, and of what is
// indented below it.
func extent(lines []string, i int) int {
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	depth, base := 0, indent(lines[i])
	for n := 0; i+n < len(lines); n++ {
		l := lines[i+n]
		if n > 0 && depth == 0 && (indent(l) <= base || strings.TrimSpace(l) == "") {
			return n
		}
		if !strings.HasPrefix(strings.TrimSpace(l), "//") {
			depth += strings.Count(l, "(") + strings.Count(l, "[") + strings.Count(l, "{")
			depth -= strings.Count(l, ")") + strings.Count(l, "]") + strings.Count(l, "}")
		}
	}
	return len(lines) - i
}

// binding takes `pattern = value` apart.
func binding(text string) (pattern, value string, ok bool) {
	depth := 0
	for i, c := range text {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '=':
			if depth == 0 && !strings.ContainsRune("=<>!", rune(text[i-1])) && text[i+1] != '=' {
				return strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:]), true
			}
		}
	}
	return "", "", false
}

// longer lets a pattern of a whole list match a longer one.
func longer(pattern string) (string, bool) {
	if !strings.HasPrefix(pattern, "[") || strings.Contains(pattern, "..") {
		return "", false
	}
	return strings.TrimSuffix(pattern, "]") + ", ..]", true
}
