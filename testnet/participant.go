package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/wallet"
)

// Participant is one party of a world: a data directory that only it uses, and the program tally run on it.
type Participant struct {
	Name    string
	Home    string
	Log     string // file with what its processes wrote to standard error
	Peer    peer.ID
	Address chain.Address
	Addrs   []string // multiaddrs it listens on, without /p2p/

	process    atomic.Pointer[Process]
	bin        string
	passphrase string
}

// Process is the one that runs now, or ran last; nil: none yet. Anybody may ask while another is started.
func (p *Participant) Process() *Process { return p.process.Load() }

// peerReady is what tally says of a participant it made or started.
type peerReady struct {
	Peer    peer.ID       `json:"peer"`
	Address chain.Address `json:"address"`
	Addrs   []string      `json:"addrs"`
}

func (p *Participant) adopt(r peerReady) {
	p.Peer = r.Peer
	if !r.Address.IsZero() {
		p.Address = r.Address
	}
	p.Addrs = nil
	for _, a := range r.Addrs {
		plain, _, _ := strings.Cut(a, "/p2p/")
		p.Addrs = append(p.Addrs, plain)
	}
}

func withPeer(addr string, id peer.ID) string {
	plain, _, _ := strings.Cut(addr, "/p2p/")
	return plain + "/p2p/" + id.String()
}

// env is all that a participant's processes get to know of this one's environment.
func (p *Participant) env() []string {
	env := []string{"HOME=" + p.Home, "PATH=" + os.Getenv("PATH"), wallet.PassphraseEnv + "=" + p.passphrase}
	if host, ok := os.LookupEnv("DOCKER_HOST"); ok {
		env = append(env, "DOCKER_HOST="+host)
	}
	return env
}

// Tally runs a command of the participant's to its end and decodes what it writes to standard output, JSON, into v.
func (p *Participant) Tally(ctx context.Context, v any, args ...string) error {
	cmd := exec.CommandContext(ctx, p.bin, append(args, "--home", p.Home, "-o", "json")...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = p.env(), &out, &errs, p.Home
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: tally %s: %w: %w: %s", p.Name, strings.Join(args, " "), ErrProcess, err, bytes.TrimSpace(errs.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), v); err != nil {
		return fmt.Errorf("%s: tally %s: %w: %w", p.Name, strings.Join(args, " "), ErrProcess, err)
	}
	return nil
}

// start starts the participant's long-running process.
func (p *Participant) start(args ...string) error {
	if proc := p.Process(); proc != nil {
		select {
		case <-proc.Done():
		default:
			return fmt.Errorf("starting %s: %w: it is running", p.Name, ErrProcess)
		}
	}
	return p.run(Spec{
		Name: p.Name, Program: p.bin, Args: append(args, "--home", p.Home, "-o", "json"), Env: p.env(), Dir: p.Home, Log: p.Log,
	})
}

func (p *Participant) run(s Spec) error {
	proc, err := StartProcess(s)
	if err == nil {
		p.process.Store(proc)
	}
	return err
}

func (p *Participant) stop() error {
	if proc := p.Process(); proc != nil {
		return proc.Stop()
	}
	return nil
}

// Holds is what a wallet holds, as its owner sees it.
type Holds struct {
	Address  chain.Address  `json:"address"`
	Lovelace chain.Lovelace `json:"lovelace"`
	UNTX     uint64         `json:"untx"`
}

// Balance asks the participant's own program what its wallet holds now.
func (p *Participant) Balance(ctx context.Context) (h Holds, err error) {
	err = p.Tally(ctx, &h, "wallet", "balance")
	if err == nil && h.Address != p.Address {
		err = errors.Join(ErrProcess, fmt.Errorf("%s has address %s, not %s", p.Name, h.Address, p.Address))
	}
	return h, err
}
