package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tallycompute/tally/chain"
)

// DefaultTimeout bounds one exchange with the node. A transaction with dozens of scripts takes a node seconds.
const DefaultTimeout = 30 * time.Second

// Config says which node to talk to.
type Config struct {
	// Socket is a unix socket's path, or tcp://host:port (or host:port) of one that a relay such as socat forwards.
	Socket string
	// Network is the network the node must be on; the handshake fails on another.
	Network chain.Network
	// Timeout bounds each exchange; 0: DefaultTimeout.
	Timeout time.Duration
	// Log hears of connections made and lost; nil: nothing is logged.
	Log *slog.Logger
}

// Node is one Cardano node. Its methods may be called from many goroutines: they take turns on one connection,
// which is dialled again when it has broken. Follow has a connection of its own.
type Node struct {
	cfg  Config
	turn chan struct{} // holds one token: the right to use session
	sess *session      // nil: dial first
	once sync.Once
	done chan struct{} // closed by Close
	seen diary
}

// Dial connects to a node. Errors: ErrUnreachable, ErrWrongNetwork.
func Dial(ctx context.Context, cfg Config) (*Node, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg, turn: make(chan struct{}, 1), done: make(chan struct{})}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, errNoAnswer)
	defer cancel()
	s, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	n.sess = s
	n.turn <- struct{}{}
	return n, nil
}

// Network is the network this node is on.
func (n *Node) Network() chain.Network { return n.cfg.Network }

// Close ends the shared connection after the exchange under way. Follow ends with its own context.
func (n *Node) Close() error {
	n.once.Do(func() {
		close(n.done)
		<-n.turn
		if n.sess != nil {
			n.sess.close()
			n.sess = nil
		}
	})
	return nil
}

var errNoAnswer = errors.New("no answer in time")

// exchange runs f alone on the shared connection. Whatever fails but a rejection costs the connection, so that f
// never meets a half-read answer of somebody else's; again says whether f may run once more on a fresh connection
// when one that had been idle turns out to be dead.
func (n *Node) exchange(ctx context.Context, what string, again bool, f func(*session) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, errNoAnswer)
	defer cancel()
	select {
	case <-n.turn:
		defer func() { n.turn <- struct{}{} }()
	case <-n.done:
		return fmt.Errorf("%s: %w", what, ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for other questions: %w: %w", what, ErrConnection, context.Cause(ctx))
	}
	for {
		fresh := n.sess == nil || n.sess.dead()
		if fresh {
			n.drop()
			s, err := n.open(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			n.sess = s
		}
		err := n.sess.use(ctx, func() error { return f(n.sess) })
		if err == nil || errors.Is(err, ErrRejected) {
			return wrap(what, err)
		}
		cause := n.drop()
		n.seen.note(func(s *sightings) { s.lost++ })
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w: %w", what, ErrConnection, context.Cause(ctx))
		case !fresh && again && !errors.Is(err, ErrUnexpected):
			n.cfg.Log.Info("node connection was lost, dialling again", "doing", what, "err", errors.Join(err, cause))
			continue
		case errors.Is(err, ErrUnexpected):
			return wrap(what, err)
		}
		return fmt.Errorf("%s: %w: %w", what, ErrConnection, errors.Join(err, cause))
	}
}

// drop closes the shared connection, if there is one, and returns why it had broken.
func (n *Node) drop() error {
	if n.sess == nil {
		return nil
	}
	cause := n.sess.close()
	n.sess = nil
	return cause
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
