package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/tallycompute/tally/executor/container"
	"github.com/tallycompute/tally/market/attester"
	"github.com/tallycompute/tally/market/requester"
)

// auditor runs shards again on this machine, as attesters do.
type auditor struct{ owner string }

// Again implements requester.Auditor.
func (a auditor) Again(ctx context.Context, q requester.Audit) (right bool, why string, err error) {
	engine, err := container.New(container.Config{})
	if err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	r := attester.Rerunner{Engine: engine, SDK: filepath.Join(q.Work, "sdk"), Owner: a.owner}
	if err := errors.Join(r.Clear(ctx, q.Work), writeSDK(r.SDK)); err != nil {
		return false, "", err
	}
	defer func() { _ = os.RemoveAll(q.Work) }() // but for what the program left in directories of its own, where it is another user
	return r.Again(ctx, attester.Rerun(q))
}
