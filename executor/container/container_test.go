package container_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/executor/executortest"
)

// open returns a runtime on the local engine. Without one the test fails with the engine's sentence.
func open(t testing.TB, config container.Config) *container.Runtime {
	t.Helper()
	rt, err := container.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	if _, err := rt.Info(context.Background()); err != nil {
		t.Fatal(err)
	}
	return rt
}

// probeImage makes sure that the engine has an image of tally-probe, and names it by its content.
// changes are Dockerfile instructions.
func probeImage(t testing.TB, changes ...string) executor.ImageDigest {
	t.Helper()
	ctx := context.Background()
	rt := open(t, container.Config{})
	root := executortest.ProbeRootFS(t)
	sum := sha256.Sum256(append(root, strings.Join(changes, "\n")...))
	name := "tally/probe:" + hex.EncodeToString(sum[:8])
	if id, err := rt.ImageID(ctx, name); err == nil {
		return id
	}
	cli, err := container.Dial("")
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	answer, err := cli.ImageImport(ctx, image.ImportSource{Source: bytes.NewReader(root), SourceName: "-"}, name, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(container.EngineError("import the probe's image", err))
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Fatal(err)
	}
	id, err := rt.ImageID(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestContainerConforms(t *testing.T) {
	digest := probeImage(t)
	executortest.Conformance(t, func() executor.Runtime { return open(t, container.Config{}) }, digest)
}

func TestEngineAbsent(t *testing.T) {
	rt, err := container.New(container.Config{Host: "unix://" + filepath.Join(t.TempDir(), "no.sock")})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	_, err = rt.Info(context.Background())
	if !errors.Is(err, executor.ErrEngineUnavailable) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("without an engine: %v", err)
	}
}

func TestImageMissing(t *testing.T) {
	rt := open(t, container.Config{})
	if _, err := rt.ImageID(context.Background(), "tally/none:none"); !errors.Is(err, executor.ErrImageMissing) {
		t.Errorf("unknown name: %v", err)
	}
	has, err := rt.HasImage(context.Background(), executor.ImageDigest("sha256:"+strings.Repeat("00", 32)))
	if err != nil || has {
		t.Errorf("unknown digest: %v, %v", has, err)
	}
	digest := probeImage(t)
	if has, err := rt.HasImage(context.Background(), digest); err != nil || !has {
		t.Errorf("known digest: %v, %v", has, err)
	}
}

func TestInfoClaimsNoMoreThanTheEngineSays(t *testing.T) {
	info, err := open(t, container.Config{}).Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if info.Version == "" || info.APIVersion == "" || info.CPUs < 1 || info.Isolation.Runtime == "" {
		t.Errorf("incomplete: %+v", info)
	}
	t.Logf("%+v tier=%s", info, info.Isolation.Tier())
}
