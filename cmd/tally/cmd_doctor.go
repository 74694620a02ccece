package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// verdict is how a check came out.
type verdict string

const (
	fine   verdict = "ok"
	warned verdict = "warn" // it works, and will not always
	broken verdict = "fail"
)

// check is one line of the doctor's report.
type check struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Next    string  `json:"next,omitempty"` // what to do about it
	code    int     // of the exit, if it is broken
}

// doctor looks at everything that a participant needs.
type doctor struct {
	*app
	wait   time.Duration // for a block
	checks []check
}

func doctorCommand(a *app) *cobra.Command {
	d := &doctor{app: a}
	c := &cobra.Command{
		Use: "doctor", Short: "Check node, network, wallet, engine and peers, and say what to do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	c.Flags().DurationVar(&d.wait, "wait", 3*time.Second, "how long to wait for a block, to see that they come and that the clocks agree")
	return c
}

func (d *doctor) ok(name, format string, args ...any) {
	d.checks = append(d.checks, check{Name: name, Verdict: fine, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(name, next, format string, args ...any) {
	d.checks = append(d.checks, check{name, warned, fmt.Sprintf(format, args...), next, 0})
}

func (d *doctor) fail(name string, code int, next, format string, args ...any) {
	d.checks = append(d.checks, check{name, broken, fmt.Sprintf(format, args...), next, code})
}

// failed is a check that ended in an error, which has a next step and an exit code.
func (d *doctor) failed(name string, err error) {
	f := classify(err)
	d.fail(name, f.code, f.hint, "%v", err)
}

// run makes every check that can be made, and ends with the code of the first that failed.
func (d *doctor) run(ctx context.Context) error {
	if err := d.examine(ctx); err != nil {
		return err
	}
	if err := d.print(map[string]any{"checks": d.checks}, d.table); err != nil {
		return err
	}
	first, count := check{}, 0
	for _, c := range d.checks {
		if c.Verdict != broken {
			continue
		}
		if count++; count == 1 {
			first = c
		}
	}
	if count == 0 {
		return nil
	}
	return fail(first.code, fmt.Errorf("%d of %d checks failed, the first: %s", count, len(d.checks), first.Name), "%s", first.Next)
}

// examine ends early only when it was interrupted.
func (d *doctor) examine(ctx context.Context) error {
	n, err := d.network()
	if err != nil {
		d.failed("network", err)
		return nil
	}
	d.ok("network", "%s, magic %d", n.Name, n.Magic)
	w, err := d.openWallet(n)
	if err != nil {
		d.failed("wallet", err)
	} else {
		d.ok("wallet", "%s", w.Address())
	}
	if err := d.chain(ctx, n, w); err != nil {
		return err
	}
	if _, err := os.Stat(d.path("provider.json")); !errors.Is(err, fs.ErrNotExist) {
		d.engine(ctx)
	}
	d.peers(ctx, n)
	return ctx.Err()
}

func (d *doctor) table(w io.Writer) {
	var rows [][]string
	for _, c := range d.checks {
		rows = append(rows, []string{string(c.Verdict), c.Name, c.Detail})
		if c.Next != "" {
			rows = append(rows, []string{"", "", "→ " + c.Next})
		}
	}
	columns(w, rows...)
}
