package tally_test

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Tests about the source tree itself: run them with -count=1, for the test cache does not see new files.

// tracked lists the tree's files, slash-separated: what git has, and what it would have.
func tracked(t *testing.T) (names []string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v: these tests need git and a clone: %s", err, complaint.String())
	}
	for _, name := range strings.Split(string(out), "\x00") {
		if st, err := os.Lstat(filepath.FromSlash(name)); err == nil && st.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// People read source files to their end only when they are short.
func TestFilesAreShort(t *testing.T) {
	const most = 500
	written := []string{".go", ".ak", ".py", ".sh", ".md", ".yaml", ".txt", ".txtar", ""}
	for _, name := range tracked(t) {
		if !slices.Contains(written, path.Ext(name)) || strings.Contains(name, "/testdata/") || name == "LICENSE" {
			continue
		}
		if n := strings.Count(read(t, name), "\n"); n > most {
			t.Errorf("%s has %d lines, at most %d", name, n, most)
		}
	}
}

// What is written down must be true on every machine, so no file names this one's paths or the registry it installs
// from.
func TestNothingNamesThisMachine(t *testing.T) {
	secret := regexp.MustCompile(`(?m)(^|[\s"'=:(` + "`" + `])/(wo` + `rk|root|home/[a-z]+)/[a-z]`)
	hosts := []string{}
	for _, v := range []string{"GOPROXY", "GONOSUMDB", "PIP_INDEX_URL", "UV_INDEX_URL", "npm_config_registry", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		for _, one := range strings.FieldsFunc(os.Getenv(v), func(r rune) bool { return r == ',' || r == '|' }) {
			if u, err := url.Parse(one); err == nil && strings.Contains(u.Hostname(), ".") {
				hosts = append(hosts, u.Hostname())
			}
		}
	}
	out, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range strings.FieldsFunc(strings.TrimSpace(string(out)), func(r rune) bool { return r == ',' || r == '|' }) {
		if u, err := url.Parse(one); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	for _, name := range tracked(t) {
		b, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 4<<20 || bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			continue // not text
		}
		if m := secret.Find(b); m != nil {
			t.Errorf("%s names a path of one machine: %q", name, m)
		}
		for _, h := range hosts {
			if bytes.Contains(b, []byte(h)) {
				t.Errorf("%s names the registry host %s", name, h)
			}
		}
	}
}

// What is not done is not in the tree: no promise in a comment, no test that does not run.
func TestNothingIsLeftForLater(t *testing.T) {
	later := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|\bt\.Skip`)
	for _, s := range sources(t, "") {
		for i, line := range strings.Split(read(t, s.name), "\n") {
			if m := later.FindString(line); m != "" && s.pkg != "." {
				t.Errorf("%s:%d: %s", s.name, i+1, m)
			}
		}
	}
}
