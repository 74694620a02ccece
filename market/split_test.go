package market

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitFile(t *testing.T) {
	for _, c := range []struct {
		how   Split
		data  string
		count uint32
		want  []string
	}{
		{SplitLines, "a\nb\nc\nd\ne\n", 2, []string{"a\nb\nc\n", "d\ne\n"}},
		{SplitByShard, "a\n\nc", 3, []string{"a\n", "\n", "c"}},
		{SplitRows, "x,y\n1,2\n3,4\n5,6\n", 2, []string{"x,y\n1,2\n3,4\n", "x,y\n5,6\n"}},
		{SplitBytes, "abcdefg", 3, []string{"abc", "de", "fg"}},
		{SplitLines, "one", 1, []string{"one"}},
		{SplitLines, "a\nb\n", 3, nil},
		{SplitRows, "header\n", 1, nil},
		{SplitRows, "", 1, nil},
		{SplitLines, "a\n", 0, nil},
		{SplitFiles, "a\n", 1, nil},
		{SplitNone, "a\n", 1, nil},
	} {
		parts, err := SplitFile(c.how, []byte(c.data), c.count)
		if (err != nil) != (c.want == nil) || err != nil && !errors.Is(err, ErrSplit) {
			t.Errorf("%s of %q: %v", c.how, c.data, err)
			continue
		}
		var got []string
		for _, p := range parts {
			got = append(got, string(p.Of([]byte(c.data))))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s of %q: %q, want %q", c.how, c.data, got, c.want)
		}
	}
}

// Whatever is split comes together again, and no part is more than a record larger than another.
func TestSplitFileWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.SampledFrom([]byte("ab\n"))).Draw(t, "data")
		how := rapid.SampledFrom([]Split{SplitLines, SplitRows, SplitBytes}).Draw(t, "how")
		count := rapid.Uint32Range(1, 9).Draw(t, "count")
		parts, err := SplitFile(how, data, count)
		if err != nil {
			return
		}
		whole := slices.Clone(data[parts[0].Header.From:parts[0].Header.To])
		low, high := len(data), 0
		for _, p := range parts {
			body := data[p.Body.From:p.Body.To]
			whole = append(whole, body...)
			n := len(body)
			if how != SplitBytes {
				n = bytes.Count(body, []byte("\n"))
				if !bytes.HasSuffix(body, []byte("\n")) {
					n++
				}
			}
			low, high = min(low, n), max(high, n)
		}
		if !bytes.Equal(whole, data) || low == 0 || high > low+1 {
			t.Fatalf("%s %q over %d: %v", how, data, count, parts)
		}
	})
}

func TestSplitDir(t *testing.T) {
	got, err := SplitDir(SplitFiles, []string{"c", "a", "b/2", "b/1", "d"}, 2)
	if want := [][]string{{"a", "b/1", "b/2"}, {"c", "d"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := SplitDir(SplitLines, []string{"a"}, 1); !errors.Is(err, ErrSplit) {
		t.Errorf("lines of a directory: %v", err)
	}
	if _, err := SplitDir(SplitFiles, []string{"a"}, 2); !errors.Is(err, ErrSplit) {
		t.Errorf("too few files: %v", err)
	}
}

func TestGatherPlan(t *testing.T) {
	outputs := []Output{
		{Path: "/out", Gather: GatherFiles},
		{Path: "/out/model", Gather: GatherFirst},
		{Path: "/out/log.csv", Gather: GatherConcat},
		{Path: "/out/sum", Gather: GatherReduce, Script: "sum.py"},
	}
	shards := []ShardFiles{
		{2, []string{"log.csv", "x", "sum/b", "sum/a"}},
		{0, []string{"log.csv", "sum/a"}},
		{10, []string{"log.csv", "model/w"}},
		{3, []string{"model/w", "modelish"}},
	}
	want := []Gathered{
		{Dest: "shard-2/x", Gather: GatherFiles, Sources: []Source{{2, "x"}}},
		{Dest: "shard-3/modelish", Gather: GatherFiles, Sources: []Source{{3, "modelish"}}},
		{Dest: "model/w", Gather: GatherFirst, Sources: []Source{{3, "model/w"}}},
		{Dest: "log.csv", Gather: GatherConcat, Sources: []Source{{0, "log.csv"}, {2, "log.csv"}, {10, "log.csv"}}},
		{Dest: "sum", Gather: GatherReduce, Script: "sum.py", Sources: []Source{{0, "sum/a"}, {2, "sum/a"}, {2, "sum/b"}}},
	}
	if got := GatherPlan(outputs, shards); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got := GatherPlan(outputs[1:2], shards[:1]); len(got) != 0 {
		t.Errorf("nothing to gather: %+v", got)
	}
}

func TestShardEnv(t *testing.T) {
	task := Task{Envs: map[string]string{"EPOCHS": "5"}, Shards: 4, ShardInput: "/data"}
	env, err := ShardEnv(task, 3)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"EPOCHS": "5", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "NODE_RANK": "3", "NUM_NODES": "4",
		"SHARD_INDEX": "3", "SHARD_COUNT": "4", "SHARD_INPUT": "/data", "OUTPUT_DIR": "/out", "CHECKPOINT_DIR": "/out/checkpoints",
		"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
	} {
		if env[k] != want {
			t.Errorf("%s=%s, want %s", k, env[k], want)
		}
	}
	if _, err := ShardEnv(task, 4); !errors.Is(err, ErrMalformed) {
		t.Errorf("shard 4 of 4: %v", err)
	}
	for _, name := range append([]string{"TALLY_SOCKET"}, standardEnv...) {
		if _, err := ShardEnv(Task{Envs: map[string]string{name: "x"}, Shards: 1}, 0); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s overridden: %v", name, err)
		}
	}
}
