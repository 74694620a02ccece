package market

import (
	"path"
	"strings"

	"gopkg.in/yaml.v3"
)

func (r *reader) envs(n *yaml.Node, p string, envs map[string]string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, p, "want names and values, such as {EPOCHS: \"5\"}, found %s", found(n))
		return
	}
	if len(n.Content)/2 > maxEnvs {
		r.fail(n, p, "%d variables, at most %d", len(n.Content)/2, maxEnvs)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := p + "." + k.Value
		_, twice := envs[k.Value]
		switch {
		case !envName.MatchString(k.Value):
			r.fail(k, at, "%q is no name of an environment variable", k.Value)
		case reservedEnv(k.Value):
			r.fail(k, at, "is set for every shard and cannot be overridden")
		case twice:
			r.fail(k, at, "given twice")
		case v.Kind != yaml.ScalarNode:
			r.fail(v, at, "want text, found %s", found(v))
		case len(v.Value) > maxText || strings.ContainsRune(v.Value, 0):
			r.fail(v, at, "want at most %d bytes, none of them zero", maxText)
		case null(v):
			envs[k.Value] = ""
		default:
			envs[k.Value] = v.Value
		}
	}
}

func (r *reader) input(n *yaml.Node, p string, ins *[]Input) {
	in := Input{Split: SplitNone, Line: n.Line}
	var mount *yaml.Node
	r.mapping(n, p, []field{
		{"path", func(n *yaml.Node, p string) { in.Path, _ = r.text(n, p, maxText); in.Line = n.Line }, "name a file or directory"},
		{"mount", func(n *yaml.Node, p string) { in.Mount, _ = r.text(n, p, maxText); mount = n }, ""},
		{"split", func(n *yaml.Node, p string) {
			s, ok := r.oneOf(n, p, []string{
				string(SplitNone), string(SplitByShard), string(SplitLines), string(SplitRows), string(SplitBytes), string(SplitFiles),
			})
			if ok {
				in.Split = Split(s)
			}
		}, ""},
	})
	if in.Path == "" || mount != nil && in.Mount == "" {
		return
	}
	base := path.Base(path.Clean(strings.ReplaceAll(in.Path, `\`, "/")))
	if mount == nil {
		mount, in.Mount = n, WorkDir+"/"
	}
	if strings.HasSuffix(in.Mount, "/") && in.Mount != "/" {
		if base == "." || base == ".." || base == "/" {
			r.fail(mount, p+".mount", "%q has no name of its own; say where to mount it", in.Path)
			return
		}
		in.Mount += base
	}
	in.Mount = r.inside(mount, p+".mount", in.Mount)
	if in.Mount == "" {
		return
	}
	if dir, bad := reservedBy(in.Mount); bad {
		r.fail(mount, p+".mount", "%s is the container's own; use %s or another directory", dir, WorkDir)
		return
	}
	for i, o := range *ins {
		if within(in.Mount, o.Mount) || within(o.Mount, in.Mount) {
			r.fail(mount, p+".mount", "%s overlaps inputs[%d], mounted at %s", in.Mount, i, o.Mount)
			return
		}
	}
	*ins = append(*ins, in)
}

// inside is a container path, cleaned, or "" after an error.
func (r *reader) inside(n *yaml.Node, field, p string) string {
	if !path.IsAbs(p) {
		r.fail(n, field, "%q: want an absolute path inside the container", p)
		return ""
	}
	return path.Clean(p)
}

func (r *reader) outputs(top, n *yaml.Node, j *Job) {
	if n == nil {
		j.Outputs = []Output{{Path: OutputDir, Gather: j.Kind.defaultGather(), Line: top.Line}}
		return
	}
	r.list(n, "outputs", maxInputs, func(n *yaml.Node, p string) {
		out := Output{Path: OutputDir, Line: n.Line}
		r.mapping(n, p, []field{
			{"path", func(n *yaml.Node, p string) {
				s, _ := r.text(n, p, maxText)
				if s == "" {
					return
				}
				if out.Path = r.inside(n, p, s); out.Path != "" && !within(out.Path, OutputDir) {
					r.fail(n, p, "%s: outputs are %s or below", s, OutputDir)
				}
			}, ""},
			{"gather", func(n *yaml.Node, p string) {
				s, _ := r.oneOf(n, p, []string{string(GatherFirst), string(GatherConcat), string(GatherFiles), string(GatherReduce)})
				out.Gather = Gather(s)
			}, ""},
			{"reduce", func(n *yaml.Node, p string) { out.Script, _ = r.text(n, p, maxText); out.Line = n.Line }, ""},
		})
		switch {
		case out.Script != "" && out.Gather != "" && out.Gather != GatherReduce:
			r.fail(n, p, "gather: %s and reduce exclude each other", out.Gather)
		case out.Gather == GatherReduce && out.Script == "":
			r.fail(n, p+".gather", "reduce needs a script; write reduce: script.py instead")
		case out.Script != "":
			out.Gather = GatherReduce
		case out.Gather == "":
			out.Gather = j.Kind.defaultGather()
		}
		for i, o := range j.Outputs {
			if o.Path == out.Path {
				r.fail(n, p+".path", "%s is also outputs[%d]", out.Path, i)
			}
		}
		j.Outputs = append(j.Outputs, out)
	})
}

func (r *reader) shards(n *yaml.Node, p string, s *Shards) {
	r.mapping(n, p, []field{
		{"count", func(n *yaml.Node, p string) {
			if v, ok := r.count(n, p, 1, MaxShards); ok {
				s.Count = v
			}
		}, ""},
		{"min", func(n *yaml.Node, p string) { s.Min, _ = r.count(n, p, 1, MaxShards) }, ""},
		{"spares", func(n *yaml.Node, p string) { s.Spares, _ = r.count(n, p, 0, MaxShards) }, ""},
	}, "gang")
}

func (r *reader) resources(n *yaml.Node, p string, res *Resources) {
	set := func(dst *uint64, unit string, scale, limit uint64) func(*yaml.Node, string) {
		return func(n *yaml.Node, p string) {
			if v, ok := r.quantity(n, p, unit, scale, limit); ok {
				*dst = v
			}
		}
	}
	r.mapping(n, p, []field{
		{"cpus", set(&res.MilliCPU, "cores", 1000, 4096), ""},
		{"memory_gib", set(&res.MemoryMiB, "GiB", 1024, 1<<16), ""},
		{"disk_gib", set(&res.DiskMiB, "GiB", 1024, 1<<20), ""},
	}, "gpu", "gpus")
}

func (r *reader) budget(n *yaml.Node, p string, j *Job) {
	r.mapping(n, p, []field{{"max_ntx", func(n *yaml.Node, p string) {
		s, ok := r.text(n, p, 64)
		if !ok {
			return
		}
		v, err := ParseNTX(s)
		if err != nil {
			if number, unit, cut := strings.Cut(s, " "); cut && strings.EqualFold(strings.TrimSpace(unit), "ntx") {
				r.fail(n, p, "%q: write %s; it counts NTX", s, number)
				return
			}
			r.fail(n, p, "%v", err)
			return
		}
		if j.Budget = v; v == 0 {
			r.fail(n, p, "want more than 0 NTX")
		}
	}, "say the most it may cost, in NTX"}, {"voucher_every", func(n *yaml.Node, p string) {
		if m, ok := r.span(n, p, Second, maxRun); ok {
			j.Vouchers = m
		}
	}, ""}})
}

func (r *reader) timeouts(n *yaml.Node, p string, t *Timeouts) {
	set := func(dst *Millis) func(*yaml.Node, string) {
		return func(n *yaml.Node, p string) {
			if m, ok := r.span(n, p, Second, maxRun); ok {
				*dst = m
			}
		}
	}
	r.mapping(n, p, []field{
		{"match", set(&t.Match), ""},
		{"start", set(&t.Start), ""},
		{"run", set(&t.Run), "it sets the price: rate × timeouts.run"},
		{"collect", set(&t.Collect), ""},
	})
}
