package market

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// ParseJob reads a job file, at most 256 KiB of YAML. It accepts known keys only and fills in defaults:
//
//	version    1, needed
//	name       needed; lower-case letters, digits and . _ -
//	kind       training, inference or general (default)
//	image      needed; a tag on this machine's engine, or an image's config digest
//	run        needed; a command line for /bin/sh -c, started in /job
//	envs       names and values; no standard name (ShardEnv) and none that starts with TALLY_
//	inputs     path, mount (default /job/<base name>; one that ends in / takes the base name),
//	           split: none (default), by-shard, lines, rows, bytes or files
//	outputs    path (/out or below), gather: first, concat or files, or reduce: script;
//	           default: all of /out, first for training, concat for inference, files for general
//	shards     count (default 1), min (default count), spares (default 0; training only)
//	resources  of one shard: cpus (default 1), memory_gib (1), disk_gib (1); decimals are fine
//	budget     max_ntx, needed: the most that all shards together may cost; voucher_every: pay as the program runs
//	verify     policy: accept (default) or review; window (default 2h); and for disputes: attesters, threshold,
//	           verdict_window, dispute_cost_ntx, dispute_bond_ntx, payee, slash_percent, share_percent
//	timeouts   run, needed, because it sets the price; match (default 60s), start (10m), collect (10m)
//
// The error, if any, is a JobErrors that lists everything found.
func ParseJob(data []byte) (Job, error) {
	if len(data) > maxJobBytes {
		return Job{}, JobErrors{{Line: 1, Message: fmt.Sprintf("%d bytes, at most %d", len(data), maxJobBytes)}}
	}
	root, err := oneDocument(data)
	if err != nil {
		return Job{}, err
	}
	j := Job{
		Kind: General, Envs: map[string]string{}, Shards: Shards{Count: 1},
		Resources: Resources{MilliCPU: 1000, MemoryMiB: 1024, DiskMiB: 1024},
		Window:    2 * Hour, Verify: VerifyAccept, Timeouts: Timeouts{Match: 60 * Second, Start: 10 * Minute, Collect: 10 * Minute},
	}
	r := &reader{}
	r.job(root, &j)
	if len(r.errs) > 0 {
		return Job{}, r.errs.sorted()
	}
	return j, nil
}

// oneDocument is the one YAML document in data.
func oneDocument(data []byte) (*yaml.Node, error) {
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, JobErrors{{Line: 1, Message: "the file is empty"}}
	case err != nil:
		return nil, syntaxError(err)
	}
	if err := dec.Decode(&second); err == nil {
		return nil, JobErrors{{Line: max(1, second.Line), Message: "a second document; a job file holds one"}}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	return doc.Content[0], nil
}

func syntaxError(err error) error {
	e := JobError{Line: 1, Message: "no valid YAML: " + err.Error()}
	if m := syntaxLine.FindStringSubmatch(err.Error()); m != nil {
		e.Message = "no valid YAML: " + m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			e.Line = n
		}
	}
	return JobErrors{e}
}

func (r *reader) job(n *yaml.Node, j *Job) {
	var outputs, verify *yaml.Node
	r.mapping(n, "", []field{
		{"version", func(n *yaml.Node, p string) {
			if s, ok := r.text(n, p, 16); ok && s != "1" {
				r.fail(n, p, "%q: this program reads version 1", s)
			}
		}, "write version: 1"},
		{"name", func(n *yaml.Node, p string) {
			if s, ok := r.text(n, p, 256); ok {
				if j.Name = s; !jobName.MatchString(s) {
					r.fail(n, p, "%q: want lower-case letters, digits, dots, dashes and underscores, at most 63, the first a letter or digit", s)
				}
			}
		}, "give the job a name"},
		{"kind", func(n *yaml.Node, p string) {
			if s, ok := r.oneOf(n, p, []string{string(Training), string(Inference), string(General)}); ok {
				j.Kind = Kind(s)
			}
		}, ""},
		{"image", func(n *yaml.Node, p string) { j.Image = r.image(n, p) }, "name an image by its tag or its config digest (sha256:…)"},
		{"run", func(n *yaml.Node, p string) { j.Run, _ = r.text(n, p, maxCommand) }, "say what to run, for example run: python train.py"},
		{"envs", func(n *yaml.Node, p string) { r.envs(n, p, j.Envs) }, ""},
		{"inputs", func(n *yaml.Node, p string) {
			r.list(n, p, maxInputs, func(n *yaml.Node, p string) { r.input(n, p, &j.Inputs) })
		}, ""},
		{"outputs", func(n *yaml.Node, _ string) { outputs = n }, ""},
		{"shards", func(n *yaml.Node, p string) { r.shards(n, p, &j.Shards) }, ""},
		{"resources", func(n *yaml.Node, p string) { r.resources(n, p, &j.Resources) }, ""},
		{"budget", func(n *yaml.Node, p string) { r.budget(n, p, j) }, "say the most it may cost: budget: {max_ntx: …}"},
		{"verify", func(n *yaml.Node, p string) { verify = n; r.verify(n, p, j) }, ""},
		{"timeouts", func(n *yaml.Node, p string) { r.timeouts(n, p, &j.Timeouts) }, "say how long it may run: timeouts: {run: …}"},
	}, "setup", "secrets", "network", "placement", "training", "faults", "build")
	r.outputs(n, outputs, j)
	if j.Disputes != nil {
		r.disputes(verify, j)
	}
	if at := value(n, "budget"); j.Vouchers > j.Timeouts.Run && j.Timeouts.Run > 0 {
		r.fail(at, "budget.voucher_every", "%s is more than timeouts.run %s", j.Vouchers, j.Timeouts.Run)
	} else if j.Vouchers > 0 && j.Kind == Training {
		r.fail(at, "budget.voucher_every", "training jobs have no vouchers yet: a rank that stops stops all")
	}
	if j.Shards.Min == 0 {
		j.Shards.Min = j.Shards.Count
	}
	if at := value(n, "shards"); at != nil && j.Shards.Min > j.Shards.Count {
		r.fail(at, "shards.min", "%d is more than shards.count %d", j.Shards.Min, j.Shards.Count)
	}
	if j.Shards.Spares > 0 {
		r.spares(value(n, "shards"), j)
	}
}

// spares checks what a job with spares is.
func (r *reader) spares(at *yaml.Node, j *Job) {
	switch p := "shards.spares"; {
	case j.Kind != Training:
		r.fail(at, p, "only a training job goes on when a shard is lost, with another one in its place")
	case j.Shards.Count < 2:
		r.fail(at, p, "a spare takes a lost shard's place beside the others: want shards.count of 2 or more")
	case j.Shards.Spares > j.Shards.Count || j.Shards.All() > MaxShards:
		r.fail(at, p, "%d spares for %s, at most as many, and %d together", j.Shards.Spares, shardsOf(j.Shards.Count), MaxShards)
	case len(j.SplitInputs()) > 0:
		r.fail(at, p, "a spare takes any shard's place, so that every shard must have all inputs: write split: none, and split them in the program")
	}
}

// value is the node of a key of mapping n, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (r *reader) image(n *yaml.Node, path string) string {
	s, ok := r.text(n, path, 512)
	switch {
	case !ok:
	case strings.ContainsAny(s, " \t\n"):
		r.fail(n, path, "%q holds white space; want a tag or sha256:…", s)
	case strings.Contains(s, "@"):
		r.fail(n, path, "%q names a registry's manifest; give the image's tag on this machine, or its config digest (docker image inspect --format '{{.Id}}' IMAGE)", s)
	case strings.HasPrefix(s, "sha256:") && !isDigest(ImageDigest(s)):
		r.fail(n, path, "%q: a config digest has 64 lower-case hex digits after sha256:", s)
	}
	return s
}
