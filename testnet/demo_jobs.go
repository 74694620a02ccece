package testnet

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallycompute/tally/market"
	"github.com/tallycompute/tally/market/requester"
	"github.com/tallycompute/tally/plutus"
	"github.com/tallycompute/tally/testnet/images"
)

// jobPatience is how long a job may take at most, whatever its own timeouts say.
const jobPatience = 15 * time.Minute

// start runs an example's job file as a process of the requester's.
func (d *demo) start(name, title string) (*Run, *ranJob, error) {
	j := &ranJob{name: name, out: filepath.Join(d.scratch, "results", name), shards: map[uint32]market.Phase{}}
	d.ran = append(d.ran, j)
	r, err := d.w.Requester.StartRun(filepath.Join(d.jobs, name, "job.yaml"), j.out)
	if err != nil {
		return nil, nil, err
	}
	j.began = r.Began
	d.say.line("%s: tally run examples/%s/job.yaml, process %d", title, name, d.w.Requester.Process().PID())
	return r, j, nil
}

// tell prints the phases of a job, and keeps what the summary wants to know of them.
func (d *demo) tell(j *ranJob, e requester.Event) {
	if e.Job != nil {
		j.id = e.Job.String()
	}
	switch {
	case e.Entered:
		j.said = e.Message
		d.say.line("%s: %s %s", j.name, e.Phase, firstLine(e.Message))
	case e.Shard != nil && e.ShardPhase != "" && e.ShardPhase != j.shards[*e.Shard]:
		j.shards[*e.Shard] = e.ShardPhase
		d.say.line("%s: shard %d %s %s", j.name, *e.Shard, e.ShardPhase, firstLine(e.Message))
	case e.Shard == nil && e.Message != "" && e.Message != j.said:
		j.said = e.Message
		d.say.line("%s: %s", j.name, firstLine(e.Message))
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.ToValidUTF8(s[:min(len(s), 120)], "")
}

// finish waits for the end of `tally run`, telling how it goes, and checks how the job ended.
func (d *demo) finish(ctx context.Context, r *Run, j *ranJob, want string) error {
	failed, err := r.Follow(ctx, func(e requester.Event, _ time.Time) bool {
		d.tell(j, e)
		return e.Entered && e.Phase == requester.Failed
	})
	if err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("%w: job %s failed: %s", ErrDemo, j.name, j.said)
	}
	o, code, err := r.Outcome(ctx)
	if err != nil {
		return err
	}
	j.outcome, j.dir = &o, o.Dir
	if o.Job != nil {
		j.id = o.Job.String()
	}
	if o.Outcome != want || code != 0 {
		return d.w.Requester.Process().fail(fmt.Sprintf("job %s", j.name),
			fmt.Errorf("%w: it ended %q with exit code %d, not %q: %s", ErrDemo, o.Outcome, code, want, o.Error))
	}
	return nil
}

// training is job 1: four containers without a network train one model.
func (d *demo) training(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	r, j, err := d.start("digits", "job 1, training")
	if err != nil {
		return err
	}
	if err := d.finish(ctx, r, j, "approved"); err != nil {
		return err
	}
	model, err := os.ReadFile(filepath.Join(j.out, "model.pt"))
	if err != nil {
		return fmt.Errorf("%w: the model: %w", ErrDemo, err)
	}
	to := filepath.Join(d.jobs, "inference", "model")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, path := range []string{filepath.Join(to, "model.pt"), filepath.Join(d.cfg.Out, "model.pt")} {
		if err := os.WriteFile(path, model, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// general is job 2: a provider is killed after the lock, and the others are enough.
func (d *demo) general(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	r, j, err := d.start("montecarlo", "job 2, general")
	if err != nil {
		return err
	}
	locked, err := r.Follow(ctx, func(e requester.Event, _ time.Time) bool {
		d.tell(j, e)
		return e.Entered && e.Phase == requester.Locked
	})
	if err == nil && !locked {
		err = d.w.Requester.Process().fail("job 2", fmt.Errorf("%w: it ended before it was locked", ErrDemo))
	}
	if err != nil {
		return err
	}
	victim := len(d.w.Providers) - 1
	if err := d.w.Providers[victim].Process().Kill(); err != nil {
		return err
	}
	d.say.line("%s killed (SIGKILL): it stays away until its price is refunded, with a penalty out of its bond", d.w.Providers[victim].Name)
	if err := d.finish(ctx, r, j, "mixed"); err != nil {
		return err
	}
	if j.result, err = estimate(j.out); err != nil {
		return err
	}
	if j.outcome.Note == "" {
		return fmt.Errorf("%w: the result does not say that it rests on three shards of four", ErrDemo)
	}
	j.result += "; " + j.outcome.Note
	d.say.line("%s", j.result)
	if err := d.w.StartProvider(ctx, victim); err != nil {
		return err
	}
	d.say.line("%s is back, process %d", d.w.Providers[victim].Name, d.w.Providers[victim].Process().PID())
	return nil
}

// estimate reads what the Monte-Carlo job's reduce script left.
func estimate(out string) (string, error) {
	var e struct {
		Pi     float64 `json:"pi"`
		Error  float64 `json:"standard_error"`
		Points int     `json:"points"`
		Shards []int   `json:"shards"`
	}
	b, err := os.ReadFile(filepath.Join(out, "result.json"))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		return "", fmt.Errorf("%w: the estimate: %w", ErrDemo, err)
	}
	if len(e.Shards) != 3 || math.Abs(e.Pi-math.Pi) > 6*e.Error {
		return "", fmt.Errorf("%w: pi is not %.5f ± %.5f, from shards %v", ErrDemo, e.Pi, e.Error, e.Shards)
	}
	return fmt.Sprintf("pi is %.5f ± %.5f, from %d points", e.Pi, e.Error, e.Points), nil
}

// inference is job 3: the requester is killed when it has the results and before it approves them.
func (d *demo) inference(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	r, j, err := d.start("inference", "job 3, inference")
	if err != nil {
		return err
	}
	gathered, err := r.Follow(ctx, func(e requester.Event, _ time.Time) bool {
		if e.Entered && e.Phase == requester.Gathered {
			err = r.Kill() // first of all: approval comes next
		}
		d.tell(j, e)
		return e.Entered && e.Phase == requester.Gathered
	})
	if err == nil && !gathered {
		err = d.w.Requester.Process().fail("job 3", fmt.Errorf("%w: it ended before the results were gathered", ErrDemo))
	}
	if err != nil {
		return err
	}
	d.say.line("the requester is killed (SIGKILL) and stays away: each provider commits its root, waits out the window and claims")
	if err := d.await(ctx, j, "claimed"); err != nil {
		return err
	}
	if j.result, err = d.judge(j.out); err != nil {
		return err
	}
	d.say.line("%s", j.result)
	return nil
}

// await watches the chain until every lot of a job has ended.
func (d *demo) await(ctx context.Context, j *ranJob, want string) error {
	var id plutus.JobID
	if err := id.UnmarshalText([]byte(j.id)); err != nil {
		return fmt.Errorf("%w: job %s has no name on chain: %w", ErrDemo, j.name, err)
	}
	said := map[string]bool{}
	outcome := ""
	err := d.chain.until(ctx, func(x *Derived) bool {
		job := x.Jobs[id]
		if job == nil {
			return false
		}
		for a, l := range job.Lots {
			state := l.Outcome()
			if l.Commit != nil && state == "open" {
				state = "committed"
			}
			if key := a.String() + state; state != "open" && !said[key] {
				said[key] = true
				d.say.line("%s: %s %s", j.name, d.nameOf(a), state)
			}
		}
		outcome = job.Outcome()
		return job.Settled()
	})
	if err == nil && outcome != want {
		err = fmt.Errorf("%w: job %s ended %s, not %s", ErrDemo, j.name, outcome, want)
	}
	return err
}

// judge compares the predictions with the labels that only the demo has, and with the accuracy that job 1 claimed of
// the same rows.
func (d *demo) judge(out string) (string, error) {
	b, err := os.ReadFile(filepath.Join(out, "predictions.txt"))
	if err != nil {
		return "", fmt.Errorf("%w: the predictions: %w", ErrDemo, err)
	}
	predicted := strings.Fields(string(b))
	b, err = os.ReadFile(filepath.Join(d.jobs, "digits", "program", "heldout.csv"))
	if err != nil {
		return "", err
	}
	labels := strings.Fields(string(b))
	if len(predicted) != len(labels) {
		return "", fmt.Errorf("%w: %d predictions for %d rows", ErrDemo, len(predicted), len(labels))
	}
	right := 0
	for i, l := range labels {
		label, _, _ := strings.Cut(l, ",")
		if label == predicted[i] {
			right++
		}
	}
	share := float64(right) / float64(len(labels))
	// A row on the edge may fall to another side where it is summed in another order.
	if math.Abs(share-d.sum.Training.AccuracySplit) > 1.5/float64(len(labels)) {
		return "", fmt.Errorf("%w: %d of %d predictions are right, job 1 said %.4f: they are not in order, or of another model",
			ErrDemo, right, len(labels), d.sum.Training.AccuracySplit)
	}
	return fmt.Sprintf("%d of %d unseen digits are right (%.4f)", right, len(labels), share), nil
}

// alone runs job 1's script once more, in one container over all rows, and holds both against each other.
func (d *demo) alone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	dir := filepath.Join(d.jobs, "digits")
	b, err := os.ReadFile(filepath.Join(dir, "job.yaml"))
	if err != nil {
		return err
	}
	job, err := market.ParseJob(b)
	if err != nil {
		return err
	}
	work, out := filepath.Join(d.scratch, "alone-"+filepath.Base(d.scratch)), filepath.Join(d.scratch, "alone-out")
	if err := Alone(ctx, job, d.images[images.Torch], dir, work, out); err != nil {
		return err
	}
	j := d.ran[0]
	var s Split
	for i := range j.outcome.Lots {
		s.Ranks = append(s.Ranks, filepath.Join(j.dir, "outputs", fmt.Sprintf("shard-%d", i)))
	}
	d.sum.Training, j.ranks, err = s.Compare(out)
	if err != nil {
		return err
	}
	t := d.sum.Training
	j.result = fmt.Sprintf("accuracy on held-out digits %.4f, alone %.4f; parameters after 10 steps differ by %.1e", t.AccuracySplit, t.AccuracyAlone, t.MaxRelParamDiff10)
	d.say.line("%s", j.result)
	return nil
}
