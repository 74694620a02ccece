package testnet

import (
	"fmt"
	"io"
	"time"
)

// teller prints what happens, with the time since the start.
type teller struct {
	w       io.Writer
	began   time.Time
	seconds map[string]float64
}

func newTeller(w io.Writer) *teller {
	if w == nil {
		w = io.Discard
	}
	return &teller{w: w, began: time.Now(), seconds: map[string]float64{}}
}

func (t *teller) line(format string, args ...any) {
	fmt.Fprintf(t.w, "[%6.1f s]   %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// step runs one and keeps its seconds under its name.
func (t *teller) step(name string, f func() error) error {
	began := time.Now()
	fmt.Fprintf(t.w, "[%6.1f s] %s\n", time.Since(t.began).Seconds(), name)
	err := f()
	t.seconds[name] = millis(time.Since(began).Seconds())
	if err == nil {
		fmt.Fprintf(t.w, "[%6.1f s] %s: done in %.1f s\n", time.Since(t.began).Seconds(), name, t.seconds[name])
	}
	return err
}
