package main

import (
	"bytes"
	"fmt"
	"io"
)

// prefixed writes whole lines with a prefix, made safe for a terminal.
type prefixed struct {
	w      io.Writer
	prefix string
	line   []byte
}

// mostLine is where a line without an end is cut.
const mostLine = 64 << 10

func (p *prefixed) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		i := bytes.IndexByte(p.line, '\n')
		if i < 0 && len(p.line) < mostLine {
			return len(b), nil
		}
		if i < 0 {
			i = len(p.line)
		}
		if _, err := fmt.Fprintln(p.w, p.prefix+oneLine(string(p.line[:i]))); err != nil {
			return 0, err
		}
		p.line = p.line[min(i+1, len(p.line)):]
	}
}

// flush writes a last line that had no end.
func (p *prefixed) flush() error {
	if len(p.line) == 0 {
		return nil
	}
	_, err := p.Write([]byte{'\n'})
	return err
}
