package collective

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const torchImage = "tally/torch:bookworm"

// TestTorchInContainers runs tally.torch in hardened containers without a
// network, one a rank: their only way out is their agent's socket.
func TestTorchInContainers(t *testing.T) {
	if out, err := exec.Command("docker", "image", "inspect", torchImage).CombinedOutput(); err != nil {
		t.Fatalf("this test needs a Docker engine with the image %s; build the job images first: %s", torchImage, out)
	}
	sdk, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("ranks=%d", n), func(t *testing.T) {
			w := newWorld(t, n, Options{})
			gs := newGates(t, t.Context(), w)
			w.all(func(r int) error {
				out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm",
					"--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
					"--user", "65534:65534", "--tmpfs", "/tmp", "--memory", "1g", "--pids-limit", "256",
					"-v", gs.dirs[r]+":/run/tally:ro", "-v", sdk+":/opt/tally/python:ro", "-v", scripts+":/job:ro",
					"-e", "PYTHONPATH=/opt/tally/python", "-e", "PYTHONDONTWRITEBYTECODE=1", "-e", "OUTPUT_DIR=/tmp", "-e", fmt.Sprintf("WORLD_SIZE=%d", n),
					torchImage, "python3", "/job/torch_ranks.py", fmt.Sprint(r), fmt.Sprint(n)).CombinedOutput()
				if err != nil {
					w.groups[r].Abort(fmt.Errorf("its container: %w", err))
					return fmt.Errorf("%w: %s", err, out)
				}
				if r == 0 {
					t.Log(strings.TrimSpace(string(out)))
				}
				return <-gs.runs[r]
			})
			w.close()
		})
	}
}
