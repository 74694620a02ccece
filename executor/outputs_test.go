//go:build unix

package executor_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tallycompute/tally/executor"
)

var roomy = executor.OutputLimits{Bytes: 1 << 20, Files: 100}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestListOutputsTakesPlainFilesOnly(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret")
	write(t, filepath.Join(dir, "b.txt"), "bb")
	write(t, filepath.Join(dir, "a/deep/c.txt"), "ccc")
	write(t, filepath.Join(dir, "bad\nname"), "x")
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")))
	must(t, os.Symlink(outside, filepath.Join(dir, "dirlink")))
	must(t, os.Symlink("b.txt", filepath.Join(dir, "inside")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666))
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	must(t, err)
	defer l.Close()

	out, err := executor.ListOutputs(dir, roomy)
	must(t, err)
	want := []executor.OutputFile{{Path: "a/deep/c.txt", Size: 3}, {Path: "b.txt", Size: 2}}
	if !slices.Equal(out.Files, want) || out.Bytes != 5 {
		t.Errorf("files %v, %d bytes; want %v", out.Files, out.Bytes, want)
	}
	if len(out.Skipped) != 6 {
		t.Errorf("skipped %v; want 6 entries", out.Skipped)
	}
	for _, s := range out.Skipped {
		if _, err := executor.OpenOutput(dir, executor.OutputFile{Path: s.Path, Size: 6}); err == nil {
			t.Errorf("%q opened although it was skipped", s.Path)
		}
	}
}

func TestOpenOutputStaysInside(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "out")
	write(t, filepath.Join(base, "secret"), "secret")
	write(t, filepath.Join(dir, "ok"), "fine")
	must(t, os.Symlink("..", filepath.Join(dir, "up")))
	for _, p := range []string{"../secret", "/etc/passwd", "up/secret", "./ok", "", ".", "ok/", "a\x00b", strings.Repeat("a", 2000)} {
		if f, err := executor.OpenOutput(dir, executor.OutputFile{Path: p, Size: 6}); err == nil {
			f.Close()
			t.Errorf("%q was opened", p)
		}
	}
	if _, err := executor.OpenOutput(dir, executor.OutputFile{Path: "ok", Size: 3}); !errors.Is(err, executor.ErrUnsafeOutput) {
		t.Errorf("file of another size: %v", err)
	}
	f, err := executor.OpenOutput(dir, executor.OutputFile{Path: "ok", Size: 4})
	must(t, err)
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "fine" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOutputLimits(t *testing.T) {
	many, big, sparse, deep := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for _, n := range strings.Split("abcdefghij", "") {
		write(t, filepath.Join(many, n), "")
	}
	write(t, filepath.Join(big, "big"), strings.Repeat("x", 1<<20+1))
	write(t, filepath.Join(sparse, "hole"), "")
	must(t, os.Truncate(filepath.Join(sparse, "hole"), 1<<30))
	must(t, os.MkdirAll(filepath.Join(deep, strings.Repeat("d/", 60)), 0o755))
	for name, c := range map[string]struct {
		dir    string
		limits executor.OutputLimits
	}{
		"files":  {many, executor.OutputLimits{Bytes: 1 << 20, Files: 9}},
		"bytes":  {big, roomy},
		"sparse": {sparse, roomy},
		"depth":  {deep, executor.OutputLimits{Bytes: 1 << 30, Files: 1000}},
	} {
		if _, err := executor.ListOutputs(c.dir, c.limits); !errors.Is(err, executor.ErrOutputTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := executor.ListOutputs(many, executor.OutputLimits{Bytes: 1 << 20, Files: 10}); err != nil {
		t.Errorf("exactly at the limit: %v", err)
	}
	u, err := executor.MeasureOutputs(many, executor.OutputLimits{Bytes: 1 << 20, Files: 3})
	if err != nil || u.Files != 4 {
		t.Errorf("measured %+v, %v; want to stop at the fourth file", u, err)
	}
}
