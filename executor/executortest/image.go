package executortest

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// ProbeCommand is the path of tally-probe in the image of [ProbeRootFS].
const ProbeCommand = "/tally-probe"

// ProbeRootFS compiles tally-probe and returns the root file system of an image that holds nothing
// else, as a tar archive. It needs the Go toolchain and no network.
func ProbeRootFS(t testing.TB) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tally-probe")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", binary,
		"github.com/tallycompute/tally/executor/executortest/tally-probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile tally-probe: %v\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range []string{"etc/", "tmp/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: ProbeCommand[1:], Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}
