package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// manual are the pages for people, by their path from the root of the tree.
func manual(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name = filepath.ToSlash(name); name != "README.md" && !strings.HasPrefix(name, "docs/") && !strings.HasPrefix(name, "examples/") {
			return nil
		}
		b, err := os.ReadFile(path)
		texts[name] = string(b)
		return err
	})
	if err != nil || len(texts) < 20 {
		t.Fatalf("%d pages, %v", len(texts), err)
	}
	return texts
}

var (
	consoleBlock = regexp.MustCompile("(?ms)^ *```console\n(.*?)^ *```$")
	commandLine  = regexp.MustCompile(`(?m)^\s*\$ (?:bin/)?tally(?: +([^#\n]*))?(?:#.*)?$`)
	codeSpan     = regexp.MustCompile("`(?:bin/)?tally ([^`\n]+)`")
)

// Every command in a page exists, has the flags it is shown with, and takes so many arguments.
func TestDocumentedCommands(t *testing.T) {
	checked := 0
	for name, text := range manual(t) {
		for _, block := range consoleBlock.FindAllStringSubmatch(text, -1) {
			for _, line := range commandLine.FindAllStringSubmatch(strings.ReplaceAll(block[1], "\\\n", " "), -1) {
				if err := parses(strings.Fields(line[1]), true); err != nil {
					t.Errorf("%s: tally %s: %v", name, line[1], err)
				}
				checked++
			}
		}
		for _, span := range codeSpan.FindAllStringSubmatch(text, -1) {
			if err := parses(strings.Fields(span[1]), false); err != nil {
				t.Errorf("%s: `tally %s`: %v", name, span[1], err)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("only %d commands found", checked)
	}
}

// parses looks a command line up in the real command tree and reads its flags. whole: with all of its arguments; else
// the text may name a command without them.
func parses(words []string, whole bool) error {
	root := newRoot(&app{stdout: io.Discard, stderr: io.Discard})
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if c == root || !c.Runnable() {
		return fmt.Errorf("%q is no command that does something", strings.Join(words, " "))
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if whole || c.Flags().NArg() > 0 {
		return c.ValidateArgs(c.Flags().Args())
	}
	return nil
}

// Every command says in a line what it does, and its help does not fail.
func TestCommandsExplainThemselves(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" && c.HasParent() {
			t.Errorf("%s has no description", c.CommandPath())
		}
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(newRoot(&app{stdout: io.Discard, stderr: io.Discard}))
}
