package collective

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// talk is the conversation with one container.
type talk struct {
	conn  *net.UnixConn
	desk  *desk
	fail  context.CancelCauseFunc // ends it
	under sync.WaitGroup          // commands under way
	open  atomic.Int32            // how many
	write sync.Mutex              // replies
}

// read starts commands until the container says goodbye, whose number it gives, or breaks a rule. It never waits for a
// command: it must notice a container that is gone while operations run.
func (t *talk) read(ctx context.Context) (goodbye uint32, err error) {
	var b [commandBytes]byte
	var rest [maxName + 8*(maxDims+2*MaxPeers)]byte
	for {
		if _, err := io.ReadFull(t.conn, b[:]); err != nil {
			return 0, fmt.Errorf("it left without saying goodbye: %w", err)
		}
		c, follows, err := decodeCommand(b[:])
		if err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(t.conn, rest[:follows.bytes()]); err != nil {
			return 0, fmt.Errorf("it left without saying goodbye: %w", err)
		}
		if err := c.decodeTail(follows, rest[:follows.bytes()]); err != nil {
			return 0, err
		}
		if c.kind == leave {
			return c.seq, nil
		}
		if t.open.Add(1) > maxInFlight {
			return 0, fmt.Errorf("%w: more than %d commands in flight", ErrFrame, maxInFlight)
		}
		t.start(ctx, c)
	}
}

// start gives a command its place and runs it beside the others.
func (t *talk) start(ctx context.Context, c command) {
	run, err := t.desk.prepare(c)
	t.under.Go(func() {
		r := reply{seq: c.seq}
		if err == nil {
			err = run(ctx, &r)
		}
		if err != nil {
			r = t.desk.failed(c.seq, err)
		}
		t.reply(r)
	})
}

// reply answers a command, which is then no longer under way.
func (t *talk) reply(r reply) {
	t.write.Lock()
	defer t.write.Unlock()
	t.open.Add(-1)
	err := t.conn.SetWriteDeadline(time.Now().Add(guestTime))
	if err == nil {
		_, err = t.conn.Write(r.encode())
	}
	if err != nil {
		t.fail(fmt.Errorf("replying to it: %w", err))
	}
}
