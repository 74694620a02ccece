package market

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every job file in testdata/jobs is bad, and its .err says what a person is told.
func TestParseJobErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/jobs/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ParseJob(data)
			var list JobErrors
			if !errors.Is(err, ErrJobFile) || !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("got %v, want JobErrors", err)
			}
			golden := strings.TrimSuffix(f, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := list.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

const fullJob = `
version: 1
name: digits
kind: training
image: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
run: python train.py
envs: {EPOCHS: "5", LR: 0.1, EMPTY: }
inputs:
  - {path: ./train.py}
  - {path: ./data/digits.csv, mount: /data/, split: rows}
  - {path: ./lib, mount: /opt/lib/../x}
outputs:
  - {path: /out/model.npz}
  - {path: /out, gather: files}
  - {path: /out/sum, reduce: ./sum.py}
shards: {count: 4}
resources: {cpus: 0.3, memory_gib: 1.5, disk_gib: 2}
budget: {max_ntx: 0.51}
verify: {policy: accept, window: 1m30s}
timeouts: {match: 30s, start: 5m, run: 6h, collect: 1h}
`

func TestParseJob(t *testing.T) {
	got, err := ParseJob([]byte(fullJob))
	if err != nil {
		t.Fatal(err)
	}
	want := Job{
		Name: "digits", Kind: Training, Run: "python train.py",
		Image: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Envs:  map[string]string{"EPOCHS": "5", "LR": "0.1", "EMPTY": ""},
		Inputs: []Input{
			{Path: "./train.py", Mount: "/job/train.py", Split: SplitNone, Line: 9},
			{Path: "./data/digits.csv", Mount: "/data/digits.csv", Split: SplitRows, Line: 10},
			{Path: "./lib", Mount: "/opt/x", Split: SplitNone, Line: 11},
		},
		Outputs: []Output{
			{Path: "/out/model.npz", Gather: GatherFirst, Line: 13},
			{Path: "/out", Gather: GatherFiles, Line: 14},
			{Path: "/out/sum", Gather: GatherReduce, Script: "./sum.py", Line: 15},
		},
		Shards:    Shards{Count: 4, Min: 4},
		Resources: Resources{MilliCPU: 300, MemoryMiB: 1536, DiskMiB: 2048},
		Budget:    510_000, Window: 90 * Second, Verify: VerifyAccept,
		Timeouts: Timeouts{Match: 30 * Second, Start: 5 * Minute, Run: 6 * Hour, Collect: Hour},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	task := got.Task(ImageDigest(got.Image))
	if err := task.validate(); err != nil || task.ShardInput != "/data/digits.csv" || !task.Collective {
		t.Errorf("%+v: %v", task, err)
	}
}

// TestElasticTask has a training job that goes on without ranks that are lost say so in its terms, and no other.
func TestElasticTask(t *testing.T) {
	for in, least := range map[string]uint32{
		"shards: {count: 4, min: 3}": 3, "shards: {count: 4, min: 4}": 0, "shards: {count: 4}": 0,
	} {
		for kind, want := range map[string]uint32{"training": least, "general": 0} {
			j, err := ParseJob([]byte("version: 1\nname: a\nkind: " + kind + "\nimage: x\nrun: y\nbudget: {max_ntx: 2}\ntimeouts: {run: 1m}\n" + in))
			if err != nil {
				t.Fatal(err)
			}
			task := j.Task("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
			if err := task.validate(); err != nil || task.Least != want {
				t.Errorf("%s, %s: at least %d, want %d, %v", kind, in, task.Least, want, err)
			}
		}
	}
}

func TestParseJobDefaults(t *testing.T) {
	for kind, gather := range map[string]Gather{"general": GatherFiles, "inference": GatherConcat, "training": GatherFirst} {
		j, err := ParseJob([]byte("version: 1\nname: a\nkind: " + kind + "\nimage: x\nrun: y\nbudget: {max_ntx: 2}\ntimeouts: {run: 1m}"))
		if err != nil {
			t.Fatal(err)
		}
		if len(j.Outputs) != 1 || j.Outputs[0].Gather != gather || j.Outputs[0].Path != "/out" {
			t.Errorf("%s: outputs %+v", kind, j.Outputs)
		}
		if j.Shards != (Shards{Count: 1, Min: 1}) || j.Resources != (Resources{1000, 1024, 1024}) || j.Window != 2*Hour {
			t.Errorf("%s: %+v", kind, j)
		}
		if j.Timeouts != (Timeouts{Minute, 10 * Minute, Minute, 10 * Minute}) {
			t.Errorf("%s: %+v", kind, j.Timeouts)
		}
	}
}

// No file makes ParseJob panic, and what it accepts it can turn into a task that can be agreed on.
func FuzzParseJob(f *testing.F) {
	f.Add([]byte(fullJob))
	files, err := filepath.Glob("testdata/jobs/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := ParseJob(data)
		if err != nil {
			return
		}
		task := j.Task(ImageDigest("sha256:" + strings.Repeat("0", 64)))
		if err := task.validate(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		if err := j.Timeouts.validate(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		for i := range min(j.Shards.Count, 3) {
			if _, err := ShardEnv(task, i); err != nil {
				t.Errorf("accepted, but %v", err)
			}
		}
	})
}
