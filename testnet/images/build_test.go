package images

import (
	"strings"
	"testing"

	"github.com/tallycompute/tally/executor"
)

func TestFollowReportsFailure(t *testing.T) {
	quiet := func(string, ...any) {}
	err := follow(strings.NewReader(`{"stream":"Step 1/2"}{"stream":"E: no such package\n"}{"error":"exit code 100"}`), quiet)
	if err == nil || !strings.Contains(err.Error(), "exit code 100") || !strings.Contains(err.Error(), "no such package") {
		t.Errorf("failed build: %v", err)
	}
	if err := follow(strings.NewReader(`{"stream":"Step`), quiet); err == nil {
		t.Error("an answer cut short is no error")
	}
	if err := follow(strings.NewReader(`{"stream":"ok"}`), quiet); err != nil {
		t.Error(err)
	}
}

func TestContentHashCoversEverything(t *testing.T) {
	base := contentHash([]byte("FROM a"), "sha256:1")
	for name, other := range map[string]string{
		"dockerfile": contentHash([]byte("FROM b"), "sha256:1"),
		"parent":     contentHash([]byte("FROM a"), executor.ImageDigest("sha256:2")),
	} {
		if other == base {
			t.Errorf("a change of the %s leaves the hash as it was", name)
		}
	}
}
