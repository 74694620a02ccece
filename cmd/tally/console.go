package main

import (
	"bytes"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// console is standard error. On a terminal its last line may be a live one that is written over again and again; what
// else is written appears above it.
type console struct {
	w     io.Writer
	width func() int // columns of the terminal; 0: it is none

	mu   sync.Mutex
	live string
}

func newConsole(f *os.File) *console {
	return &console{w: f, width: func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return columns
	}}
}

// terminal says whether somebody looks on.
func (c *console) terminal() bool { return c.width() > 0 }

const clearLine = "\r\x1b[K"

// Write implements io.Writer. The live line stays below.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == "" {
		return c.w.Write(b)
	}
	text := append([]byte(clearLine), b...)
	if bytes.HasSuffix(b, []byte("\n")) {
		text = append(text, c.live...)
	} else {
		c.live = ""
	}
	if _, err := c.w.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// show makes text the live line; "" removes it. Where nobody looks on it does nothing.
func (c *console) show(text string) error {
	width := c.width()
	if width == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if runes := []rune(text); len(runes) >= width {
		text = string(runes[:width-1])
	}
	if text == c.live {
		return nil
	}
	c.live = text
	_, err := io.WriteString(c.w, clearLine+text)
	return err
}
