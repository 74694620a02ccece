package images_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/tallycompute/tally/executor"
	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/testnet/images"
)

// program trains for one step on real digits, so that every library the examples need has worked once.
const program = `
import torch
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
model = torch.nn.Linear(64, 10)
loss = torch.nn.functional.cross_entropy(model(torch.tensor(x, dtype=torch.float32)), torch.tensor(y))
loss.backward()
print("digits", x.shape[0], torch.distributed.is_gloo_available())
`

func TestEnsureAndRun(t *testing.T) {
	ctx := context.Background()
	say := func(step string, elapsed time.Duration, detail string) {
		t.Logf("%-22s %6.1fs  %s", step, elapsed.Seconds(), detail)
	}
	first, err := images.Ensure(ctx, say)
	if err != nil {
		t.Fatal(err)
	}
	second, err := images.Ensure(ctx, func(step string, _ time.Duration, detail string) {
		if detail != "already here" {
			t.Errorf("second run: %s: %s", step, detail)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{images.Base, images.Python, images.Torch} {
		if first[name] == "" || first[name] != second[name] {
			t.Errorf("%s: %q, then %q", name, first[name], second[name])
		}
	}
	if out := run(t, first[images.Torch], program); out != "digits 1797 True\n" {
		t.Errorf("torch image printed %q", out)
	}
	if out := run(t, first[images.Python], "import numpy, random; print(numpy.arange(4).sum())"); out != "6\n" {
		t.Errorf("python image printed %q", out)
	}
}

// run runs a program in an image exactly as a provider would.
func run(t *testing.T, image executor.ImageDigest, program string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	rt, err := container.New(container.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	h, err := rt.Start(ctx, executor.Task{
		ID: "try", Owner: "images-" + strings.ToLower(rand.Text()), Image: image,
		Command: []string{"python3", "-c", program},
		Limits:  executor.Limits{CPUs: 1, MemoryBytes: 1 << 30}, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rt.Remove(context.Background(), h); err != nil {
			t.Error(err)
		}
	}()
	status, err := rt.Wait(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := rt.Logs(ctx, h, false, &out); err != nil {
		t.Fatal(err)
	}
	if !status.OK() {
		t.Fatalf("%+v\n%s", status, out.String())
	}
	return out.String()
}
