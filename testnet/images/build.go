package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"

	"github.com/tallycompute/tally/executor/container"
)

// sayEvery keeps progress readable: a build prints thousands of lines.
const sayEvery = 2 * time.Second

// run builds a Dockerfile with the engine's classic builder, which every engine has without plugins.
// The build uses the host's network, where the packages come from.
func (b *builder) run(ctx context.Context, r recipe, dockerfile []byte, content string, say func(string, ...any)) error {
	source, err := archiveOf(dockerfile)
	if err != nil {
		return err
	}
	parent := r.parent
	answer, err := b.cli.ImageBuild(ctx, source, build.ImageBuildOptions{
		Version:     build.BuilderV1,
		Tags:        []string{r.name},
		BuildArgs:   map[string]*string{"BASE": &parent},
		Labels:      map[string]string{labelContent: content},
		NetworkMode: "host",
		Remove:      true,
		ForceRemove: true,
	})
	if err != nil {
		return container.EngineError("ask the engine", err)
	}
	defer answer.Body.Close()
	return follow(answer.Body, say)
}

func archiveOf(dockerfile []byte) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(dockerfile); err != nil {
		return nil, err
	}
	return &archive, w.Close()
}

// message is one item of the engine's answer while it pulls, imports or builds.
type message struct {
	Stream string `json:"stream"`
	Status string `json:"status"`
	ID     string `json:"id"`
	Error  string `json:"error"`
}

// tailLines is how many lines of a failed build are shown.
const tailLines = 12

// follow reads the engine's answer to its end and reports some of it.
func follow(answer io.Reader, say func(string, ...any)) error {
	var tail []string
	var said time.Time
	for messages := json.NewDecoder(answer); ; {
		var m message
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if m.Error != "" {
			return fmt.Errorf("%s\n%s", m.Error, strings.Join(tail, "\n"))
		}
		line := strings.TrimSpace(m.Stream)
		if m.Status != "" {
			line = strings.TrimSpace(m.ID + " " + m.Status)
		}
		if line == "" {
			continue
		}
		tail = append(tail[max(0, len(tail)+1-tailLines):], line)
		if time.Since(said) >= sayEvery {
			said = time.Now()
			say("%s", firstLine(line))
		}
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if runes := []rune(s); len(runes) > 100 {
		s = string(runes[:100]) + "…"
	}
	return s
}
