package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/node"
	"github.com/tallycompute/tally/plutus"
)

// ErrSummary is a demo's directory that has no summary that can be read.
var ErrSummary = errors.New("demo's summary")

const (
	summaryFile     = "summary.json"
	nodeDir         = "node"        // the chain's state, in the demo's directory
	nodeSocket      = "node.socket" // of a node that runs on it
	maxSummaryBytes = 4 << 20
)

// ReadSummary reads what a demo claims.
func ReadSummary(dir string) (s Summary, err error) {
	path := filepath.Join(dir, summaryFile)
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("reading: %w: %w (tally demo --out DIR leaves one)", ErrSummary, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSummaryBytes+1))
	if err == nil && len(b) > maxSummaryBytes {
		err = errors.New("it is too long")
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, fmt.Errorf("reading %s: %w: %w", path, ErrSummary, err)
	}
	return s, nil
}

// Verify replays the chain that a demo left in dir from its origin and derives every amount of its summary again. What
// the summary says is only compared. Progress, for people, goes to progress.
func Verify(ctx context.Context, dir string, progress io.Writer) error {
	s, err := ReadSummary(dir)
	if err != nil {
		return err
	}
	c, err := plutus.New(s.Network, plutus.Devnet(s.NTX))
	if err != nil {
		return fmt.Errorf("contracts: %w", err)
	}
	began := time.Now()
	blocks, err := readChain(ctx, dir, s)
	if err != nil {
		return err
	}
	txs := 0
	for _, b := range blocks {
		txs += len(b.Txs)
	}
	fmt.Fprintf(progress, "replayed %d blocks with %d transactions from origin to slot %d (%.1f s)\n",
		len(blocks), txs, blocks[len(blocks)-1].Slot, time.Since(began).Seconds())
	n, err := CheckClaims(s, blocks, c)
	if err != nil {
		return fmt.Errorf("verify %s:\n%w", filepath.Join(dir, summaryFile), err)
	}
	fmt.Fprintf(progress, "all %d claims of %s agree with the chain\n", n, filepath.Join(dir, summaryFile))
	return nil
}

// readChain reads the chain kept in dir up to where the summary ends, from a node that it starts for that.
func readChain(ctx context.Context, dir string, s Summary) (blocks []chain.Block, err error) {
	state, err := filepath.Abs(filepath.Join(dir, nodeDir))
	if err == nil {
		_, err = os.Stat(state)
	}
	if err != nil {
		return nil, fmt.Errorf("the node's state: %w: %w", ErrSummary, err)
	}
	short, err := os.MkdirTemp("", "tv") // a socket's path is short, the demo's directory need not be
	if err != nil {
		return nil, fmt.Errorf("the node's state: %w", err)
	}
	defer os.RemoveAll(short)
	link := filepath.Join(short, "n")
	if err := os.Symlink(state, link); err != nil {
		return nil, fmt.Errorf("the node's state: %w", err)
	}
	n, err := node.Dial(ctx, node.Config{Socket: filepath.Join(link, nodeSocket), Network: s.Network})
	if errors.Is(err, node.ErrUnreachable) { // nobody runs it
		p, startErr := StartNode(ctx, NodeConfig{Dir: link, Program: besides("tally-devnet")})
		if startErr != nil {
			return nil, startErr
		}
		defer func() { err = errors.Join(err, p.Stop(context.WithoutCancel(ctx))) }()
		n, err = node.Dial(ctx, node.Config{Socket: p.Socket, Network: s.Network})
	}
	if err != nil {
		return nil, err
	}
	defer n.Close()
	tip, err := n.Tip(ctx)
	if err != nil {
		return nil, err
	}
	if tip.Slot < s.EndedAt {
		return nil, fmt.Errorf("the chain ends at slot %d, the summary at slot %d: %w", tip.Slot, s.EndedAt, ErrClaim)
	}
	return record(ctx, n, func(b []chain.Block) (bool, error) { return len(b) > 0 && b[len(b)-1].Slot >= tip.Slot, nil })
}

// besides is a program in the directory of the one that runs, or "".
func besides(name string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(self), name)
	if st, err := os.Stat(path); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
		return ""
	}
	return path
}
