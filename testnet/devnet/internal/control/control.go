// Package control takes commands over HTTP on a unix socket: POST /NAME?KEY=VALUE, answered with JSON, or with a sentence
// and a status other than 200.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrRequest is a command that is not understood.
var ErrRequest = errors.New("not understood")

// Command carries out what a request asks and returns what to answer; nil: {}.
type Command struct {
	Params []string // the keys it knows
	Do     func(ctx context.Context, q url.Values) (any, error)
}

const (
	maxHeader   = 1 << 13 // bytes
	maxAnswer   = 1 << 16
	readWithin  = 10 * time.Second
	endWithin   = 5 * time.Second
	contentType = "application/json"
)

// Serve answers on l until ctx ends. refused says which errors are the asker's own fault.
func Serve(ctx context.Context, l net.Listener, commands map[string]Command, refused func(error) bool, log *slog.Logger) error {
	mux := http.NewServeMux()
	for name, c := range commands {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			answer, err := c.run(r)
			if err != nil {
				status := http.StatusInternalServerError
				if errors.Is(err, ErrRequest) || refused(err) {
					status = http.StatusBadRequest
				}
				log.Warn("command refused", "command", name, "error", err)
				http.Error(w, err.Error(), status)
				return
			}
			log.Info("command", "command", name, "query", r.URL.RawQuery)
			w.Header().Set("Content-Type", contentType)
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				log.Warn("answer not sent", "command", name, "error", err)
			}
		})
	}
	s := &http.Server{
		Handler: mux, ReadTimeout: readWithin, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve commands: %w", err)
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err := s.Shutdown(bound)
	<-served
	return errors.Join(context.Cause(ctx), err)
}

func (c Command) run(r *http.Request) (any, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	for key, values := range q {
		if !slices.Contains(c.Params, key) {
			return nil, fmt.Errorf("%w: no %q here, only %q", ErrRequest, key, c.Params)
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("%w: %q %d times", ErrRequest, key, len(values))
		}
	}
	answer, err := c.Do(r.Context(), q)
	if answer == nil {
		answer = struct{}{}
	}
	return answer, err
}

// Ask sends a command, path?query, to the control socket of another process and decodes the answer into answer.
func Ask(ctx context.Context, socket, command string, answer any) error {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer t.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://devnet/"+command, nil)
	if err != nil {
		return fmt.Errorf("command %s: %w", command, err)
	}
	res, err := t.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("command %s: %w", command, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("command %s: %w", command, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("command %s: %s: %s", command, res.Status, strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, answer)
}

// Duration reads a duration; it must be there.
func Duration(q url.Values, key string) (time.Duration, error) {
	d, err := time.ParseDuration(q.Get(key))
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%w: %s=%q is no time such as 3s", ErrRequest, key, q.Get(key))
	}
	return d, nil
}
