package images

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
)

// Names of the images.
const (
	Base   = "tally/base:bookworm"   // Debian, nothing else
	Python = "tally/python:bookworm" // Python 3 and NumPy
	Torch  = "tally/torch:bookworm"  // PyTorch (CPU), scikit-learn with its digits
)

//go:embed python/Dockerfile torch/Dockerfile
var dockerfiles embed.FS

// recipe is an image built from a Dockerfile on top of another image.
type recipe struct {
	name, parent, dockerfile string
	about                    string // shown before building
}

func recipes() []recipe {
	return []recipe{
		{Python, Base, "python/Dockerfile", "Python and NumPy from Debian, about 20 seconds"},
		{Torch, Python, "torch/Dockerfile", "PyTorch and scikit-learn from Debian, 2 GB, about 2 minutes"},
	}
}

// Progress is told what is about to be done, what is being done, and when it is done. step names
// the image; elapsed is the time since that step began.
type Progress func(step string, elapsed time.Duration, detail string)

// labelContent is on every image built here: the hash of what it was made from.
const labelContent = "tally.content"

// Ensure makes sure that all images are on the local engine, and returns their digests by name.
// Building the base image needs root and debootstrap, but only where no registry answers.
func Ensure(ctx context.Context, progress Progress) (map[string]executor.ImageDigest, error) {
	if progress == nil {
		progress = func(string, time.Duration, string) {}
	}
	cli, err := container.Dial("")
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	if _, err := cli.Ping(ctx); err != nil {
		return nil, container.EngineError("prepare images", err)
	}
	b := &builder{cli: cli, progress: progress}
	digests := map[string]executor.ImageDigest{}
	if digests[Base], err = b.base(ctx); err != nil {
		return nil, err
	}
	for _, r := range recipes() {
		if digests[r.name], err = b.build(ctx, r, digests[r.parent]); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// builder makes images on one engine.
type builder struct {
	cli      *client.Client
	progress Progress
}

// step returns a function that reports details of a step with the time since now.
func (b *builder) step(name string) func(format string, args ...any) {
	began := time.Now()
	return func(format string, args ...any) {
		b.progress(name, time.Since(began), fmt.Sprintf(format, args...))
	}
}

// find returns a local image; there is none if the digest is empty.
func (b *builder) find(ctx context.Context, name string) (executor.ImageDigest, map[string]string, error) {
	found, err := b.cli.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, container.EngineError("look up image "+name, err)
	}
	var labels map[string]string
	if found.Config != nil {
		labels = found.Config.Labels
	}
	return executor.ImageDigest(found.ID), labels, nil
}

// build makes one image from its Dockerfile unless the engine has it, made from the same things.
func (b *builder) build(ctx context.Context, r recipe, parent executor.ImageDigest) (executor.ImageDigest, error) {
	say := b.step(r.name)
	dockerfile, err := dockerfiles.ReadFile(r.dockerfile)
	if err != nil {
		return "", err
	}
	content := contentHash(dockerfile, parent)
	digest, labels, err := b.find(ctx, r.name)
	if err != nil {
		return "", err
	}
	if digest != "" && labels[labelContent] == content {
		say("already here")
		return digest, nil
	}
	say("building: %s", r.about)
	if err := b.run(ctx, r, dockerfile, content, say); err != nil {
		return "", fmt.Errorf("build image %s: %w", r.name, err)
	}
	digest, _, err = b.find(ctx, r.name)
	if err != nil {
		return "", err
	}
	if digest == "" {
		return "", fmt.Errorf("build image %s: %w", r.name, executor.ErrImageMissing)
	}
	say("ready: %s, %s", digest, b.size(ctx, digest))
	return digest, nil
}

func contentHash(dockerfile []byte, parent executor.ImageDigest) string {
	h := sha256.New()
	fmt.Fprintf(h, "1\n%s\n%d\n", parent, len(dockerfile))
	h.Write(dockerfile)
	return hex.EncodeToString(h.Sum(nil))
}

func (b *builder) size(ctx context.Context, digest executor.ImageDigest) string {
	found, err := b.cli.ImageInspect(ctx, string(digest))
	if err != nil {
		return "size unknown"
	}
	return fmt.Sprintf("%d MB", found.Size/1_000_000)
}

// tag gives an image another name.
func (b *builder) tag(ctx context.Context, from, to string) error {
	return container.EngineError("name image "+to, b.cli.ImageTag(ctx, from, to))
}
