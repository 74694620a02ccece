package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumented compares docs/reference/devnet.md with the flags and commands there are.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/devnet.md")
	ok(t, err)
	listed := func(under, row string) (names []string) {
		_, text, found := strings.Cut(string(page), "\n## "+under+"\n")
		if !found {
			t.Fatalf("no section %q", under)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		for _, m := range regexp.MustCompile("(?m)^\\| `"+row).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	help, err := exec.Command(binary, "run", "--help").CombinedOutput()
	ok(t, err)
	var flags []string
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
		flags = append(flags, m[1])
	}
	slices.Sort(flags)
	if got := listed("Flags", "--([a-z-]+)"); !slices.Equal(got, flags) {
		t.Errorf("the page has the flags %q, the program %q", got, flags)
	}
	var commands []string
	for name := range new(served).commands() {
		commands = append(commands, name)
	}
	for name := range new(pair).commands(t.Context()) {
		commands = append(commands, name)
	}
	slices.Sort(commands)
	if got := listed("Faults", "([a-z]+)"); !slices.Equal(got, commands) {
		t.Errorf("the page has the commands %q, the program %q", got, commands)
	}
}
