package images

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
)

// ErrPrerequisite: this machine lacks something the images need. The message says what to type.
var ErrPrerequisite = errors.New("prerequisite missing")

const (
	suite        = "bookworm"
	publicBase   = "debian:bookworm-slim"
	mirror       = "http://deb.debian.org/debian"
	pullPatience = 20 * time.Second // without a sign of life from the registry
)

// base makes Debian's image: the one already here, else the registry's, else our own.
func (b *builder) base(ctx context.Context) (executor.ImageDigest, error) {
	say := b.step(Base)
	digest, _, err := b.find(ctx, Base)
	if err != nil {
		return "", err
	}
	if digest != "" {
		say("already here")
		return digest, nil
	}
	say("pulling %s (30 MB)", publicBase)
	if err := b.pull(ctx, say); err == nil {
		err = b.tag(ctx, publicBase, Base)
		if err != nil {
			return "", err
		}
	} else if ctx.Err() != nil {
		return "", ctx.Err()
	} else {
		say("no registry (%s); building it with debootstrap from %s, about a minute", firstLine(err.Error()), mirror)
		if err := b.bootstrap(ctx, say); err != nil {
			return "", fmt.Errorf("build image %s: %w", Base, err)
		}
	}
	digest, _, err = b.find(ctx, Base)
	if err == nil && digest == "" {
		err = fmt.Errorf("build image %s: %w", Base, executor.ErrImageMissing)
	}
	if err != nil {
		return "", err
	}
	say("ready: %s, %s", digest, b.size(ctx, digest))
	return digest, nil
}

// pull fetches the public base image, and gives up once the registry is silent for too long.
func (b *builder) pull(ctx context.Context, say func(string, ...any)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(pullPatience, cancel)
	defer watchdog.Stop()
	answer, err := b.cli.ImagePull(ctx, publicBase, image.PullOptions{})
	if err != nil {
		return err
	}
	defer answer.Close()
	return follow(readerFunc(func(p []byte) (int, error) {
		n, err := answer.Read(p)
		watchdog.Reset(pullPatience)
		return n, err
	}), say)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// bootstrap installs a minimal Debian into a directory and imports that as the base image.
func (b *builder) bootstrap(ctx context.Context, say func(string, ...any)) (err error) {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: debootstrap needs root; run this again with sudo", ErrPrerequisite)
	}
	for _, tool := range []string{"debootstrap", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: no %s; type: sudo apt-get install -y %s", ErrPrerequisite, tool, tool)
		}
	}
	// debootstrap makes device nodes, which file systems mounted on /tmp often refuse.
	dir, err := os.MkdirTemp("/var/tmp", "tally-base-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root := filepath.Join(dir, "root")
	if err := debootstrap(ctx, root, say); err != nil {
		return err
	}
	say("importing it into the engine")
	return b.importTree(ctx, root)
}

func debootstrap(ctx context.Context, root string, say func(string, ...any)) error {
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", suite, root, mirror)
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	var tail []string
	var said time.Time
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "I: ")
		tail = append(tail[max(0, len(tail)+1-tailLines):], line)
		if time.Since(said) >= sayEvery {
			said = time.Now()
			say("%s", firstLine(line))
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("debootstrap: %w\n%s", err, strings.Join(tail, "\n"))
	}
	return nil
}

// importTree sends a directory to the engine as an image with one layer, without what the package
// manager can fetch again.
func (b *builder) importTree(ctx context.Context, root string) error {
	cmd := exec.CommandContext(ctx, "tar", "--create", "--directory", root, "--numeric-owner", "--sort=name",
		"--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./var/log/*",
		"--exclude=./usr/share/man/*", "--exclude=./usr/share/locale/*",
		"--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", ".")
	cmd.WaitDelay = 10 * time.Second
	var complaint strings.Builder
	cmd.Stderr = &complaint
	archive, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	answer, err := b.cli.ImageImport(ctx, image.ImportSource{Source: archive, SourceName: "-"}, Base, image.ImportOptions{
		Message:  "debootstrap --variant=minbase " + suite,
		Platform: "linux/" + runtime.GOARCH,
		Changes:  []string{`CMD ["/bin/sh"]`},
	})
	if err == nil {
		err = follow(answer, func(string, ...any) {})
		err = errors.Join(err, answer.Close())
	}
	_, drainErr := io.Copy(io.Discard, archive) // lets tar end if the engine stopped reading
	if waitErr := cmd.Wait(); waitErr != nil {
		err = errors.Join(err, drainErr, fmt.Errorf("tar: %w: %s", waitErr, firstLine(complaint.String())))
	}
	return container.EngineError("import "+Base, err)
}
