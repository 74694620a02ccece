package testnet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/tallycompute/tally/chain"
)

// ErrNode is a devnet node that could not be built, started or stopped.
var ErrNode = errors.New("devnet node")

// NodeConfig says what chain a node runs. Zero fields: what the chain in Dir has, or tally-devnet's defaults. What a chain
// is made with stays; docs/reference/devnet.md has the whole list.
type NodeConfig struct {
	Dir        string        // the chain's directory; its path must be short, for a socket lies in it
	Magic      uint32        // network magic
	SlotLength time.Duration // whole milliseconds
	// EpochLength in slots: a tenth of it is how many blocks can be rolled back, three tenths how far validity reaches.
	EpochLength uint64
	Producers   int                              // 1 or 2 nodes that forge
	Params      map[string]string                // protocol parameters other than mainnet's, by name
	Funds       map[chain.Address]chain.Lovelace // genesis outputs
	// Program is a tally-devnet to run; "": one built from this module's source, see BuildNode.
	Program string
}

// NodeReady is what a node says of itself when it has forged a block and answers.
type NodeReady struct {
	Socket       string    `json:"socket"`
	Magic        uint32    `json:"magic"`
	SlotLengthMS uint64    `json:"slot_length_ms"`
	SystemStart  time.Time `json:"system_start"`
	PID          int       `json:"pid"`
	// Control is the socket that takes Cut and Heal; with one producer, its own.
	Control   string     `json:"control"`
	Producers []Producer `json:"producers"`
}

// Network is the network the node is on.
func (r NodeReady) Network() chain.Network { return chain.Network{Magic: r.Magic} }

// NodeProcess is a node that runs as a child process. It dies with this process, however this one dies.
type NodeProcess struct {
	NodeReady
	cmd    *exec.Cmd
	guard  io.Closer // its standard input: closing it stops the node
	stderr *bytes.Buffer
	once   sync.Once
	err    error
	done   chan struct{} // closed when the process has ended
}

// StartNode starts a node on cfg.Dir and returns when it is ready. The caller must Stop it; ctx bounds the start only.
func StartNode(ctx context.Context, cfg NodeConfig) (*NodeProcess, error) {
	program := cfg.Program
	if program == "" {
		var err error
		if program, err = BuildNode(ctx); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, cfg.args()...)
	p := &NodeProcess{cmd: cmd, stderr: new(bytes.Buffer), done: make(chan struct{})}
	cmd.Stderr = p.stderr
	guard, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting: %w: %w", ErrNode, err)
	}
	p.guard = guard
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting: %w: %w", ErrNode, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting: %w: %w", ErrNode, err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	line, readErr := bufio.NewReader(out).ReadBytes('\n')
	if readErr == nil {
		readErr = json.Unmarshal(line, &p.NodeReady)
	}
	if !stop() {
		readErr = context.Cause(ctx)
	}
	if readErr != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("starting: %w: %w: %s (its log is %s)", ErrNode, readErr, bytes.TrimSpace(p.stderr.Bytes()), filepath.Join(cfg.Dir, "node.log"))
	}
	go func() {
		defer close(p.done)
		io.Copy(io.Discard, out)
		p.err = cmd.Wait()
	}()
	return p, nil
}

func (cfg NodeConfig) args() []string {
	args := []string{"run", "--stdin-guard", "--dir", cfg.Dir}
	if cfg.Magic != 0 {
		args = append(args, "--magic", strconv.FormatUint(uint64(cfg.Magic), 10))
	}
	if cfg.SlotLength != 0 {
		args = append(args, "--slot-length", cfg.SlotLength.String())
	}
	if cfg.EpochLength != 0 {
		args = append(args, "--epoch-length", strconv.FormatUint(cfg.EpochLength, 10))
	}
	if cfg.Producers != 0 {
		args = append(args, "--producers", strconv.Itoa(cfg.Producers))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Params)) {
		args = append(args, "--param", name+"="+cfg.Params[name])
	}
	var funds []string
	for a, n := range cfg.Funds {
		funds = append(funds, hex.EncodeToString(a.Bytes())+"="+strconv.FormatUint(uint64(n), 10))
	}
	slices.Sort(funds)
	for _, f := range funds {
		args = append(args, "--fund", f)
	}
	return args
}

// Done is closed when the node has ended, whoever ended it.
func (p *NodeProcess) Done() <-chan struct{} { return p.done }

// Stop asks the node to end, waits, and kills it if it does not within ctx.
func (p *NodeProcess) Stop(ctx context.Context) error {
	p.once.Do(func() { p.guard.Close() })
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("stopping: %w: %w: %s", ErrNode, p.err, bytes.TrimSpace(p.stderr.Bytes()))
	}
	return nil
}

// Kill ends the node at once, as a crash would, and waits until it has ended.
func (p *NodeProcess) Kill() error {
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing: %w: %w", ErrNode, err)
	}
	<-p.done
	p.once.Do(func() { p.guard.Close() })
	return nil
}

// BuildNode returns the path of tally-devnet, which it builds when the cache holds none of this source: a minute and
// a half the first time. The cache is $XDG_CACHE_HOME/tally (os.UserCacheDir).
func BuildNode(ctx context.Context) (string, error) {
	src, err := nodeSource()
	if err != nil {
		return "", err
	}
	key, err := hashSource(src)
	if err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	program := filepath.Join(cache, "tally", "devnet-"+key, "tally-devnet")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	// Built beside its place and moved there whole: two builds at once do not meet.
	tmp, err := os.MkdirTemp(filepath.Dir(program), "build-")
	if err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, "tally-devnet")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", built, ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w: %w: %s", ErrNode, err, bytes.TrimSpace(out))
	}
	if err := os.Rename(built, program); err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	return program, nil
}

// nodeSource is the directory of tally-devnet's module: testnet/devnet beneath the working directory or the nearest
// directory above it that has one.
func nodeSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("building: %w: %w", ErrNode, err)
	}
	for ; ; dir = filepath.Dir(dir) {
		src := filepath.Join(dir, "testnet", "devnet")
		if _, err := os.Stat(filepath.Join(src, "go.mod")); err == nil {
			return src, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("building: %w: no testnet/devnet here or above: run this inside the source tree, or name a program", ErrNode)
		}
	}
}

// hashSource names the content of the module's source files.
func hashSource(src string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(src, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		switch ext := filepath.Ext(path); {
		case ext == ".go" && !bytes.HasSuffix([]byte(path), []byte("_test.go")), ext == ".mod", ext == ".sum":
		default:
			return nil
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", rel, len(b))
		h.Write(b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}
