package chain

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// messageLabel is the metadata label of transaction messages (CIP-20).
const messageLabel = 674

// maxMessageLine is how many bytes a text in metadata may have (Shelley CDDL, metadatum).
const maxMessageLine = 64

// MessageLines breaks a text into lines that a transaction's message takes (CIP-20): at line breaks, and where a line
// is too long between two characters.
func MessageLines(text string) (lines []string) {
	for line := range bytes.Lines([]byte(text)) {
		line = bytes.TrimRight(line, "\r\n")
		for len(line) > maxMessageLine {
			n := maxMessageLine
			for n > maxMessageLine-utf8.UTFMax && !utf8.RuneStart(line[n]) {
				n--
			}
			lines, line = append(lines, string(line[:n])), line[n:]
		}
		lines = append(lines, string(line))
	}
	return lines
}

// encodeMessage is the auxiliary data of a message (CIP-20): {674: {"msg": [line, …]}}.
func encodeMessage(lines []string) ([]byte, error) {
	m := appendUint(appendMap(nil, 1), messageLabel)
	m = appendArray(appendText(appendMap(m, 1), "msg"), len(lines))
	for _, line := range lines {
		if len(line) > maxMessageLine || !utf8.ValidString(line) {
			return nil, fmt.Errorf("message line of %d bytes, at most %d of UTF-8: %w", len(line), maxMessageLine, ErrMalformed)
		}
		m = appendText(m, line)
	}
	return m, nil
}

// Message is the message that t carries (CIP-20). other: it carries metadata that is not, or not only, a message.
// ErrMalformed: what it carries is not what its body commits to.
func (t *Tx) Message() (lines []string, other bool, err error) {
	b, err := t.Inspect()
	if err != nil {
		return nil, false, err
	}
	if h := hashOf(t.aux); (h == nil) != (b.AuxDataHash == nil) || h != nil && *h != *b.AuxDataHash {
		return nil, false, fmt.Errorf("transaction %s carries other metadata than its body says: %w", b.ID, ErrMalformed)
	}
	if t.aux == nil {
		return nil, false, nil
	}
	item, err := parseWire(t.aux, MaxTxBytes)
	if err != nil {
		return nil, false, fmt.Errorf("metadata of transaction %s: %w", b.ID, err)
	}
	if item.major() == majorTag && item.arg == tagAux && len(item.of[0].of) == 2 {
		if metadata, ok := item.of[0].field(0); ok {
			item = metadata
		}
	}
	r := reader{b: item.plain(nil)}
	if r.mapLen() != 1 || r.uint() != messageLabel || r.mapLen() != 1 || r.text(maxMessageLine) != "msg" {
		return nil, true, nil
	}
	for range r.array() {
		lines = append(lines, r.text(maxMessageLine))
		if r.err != nil {
			break
		}
	}
	if r.end() != nil {
		return nil, true, nil
	}
	return lines, false, nil
}

// text reads a text of at most limit bytes.
func (r *reader) text(limit int) string {
	n := r.want(majorText, "a text")
	if r.err == nil && (n > uint64(limit) || n > uint64(len(r.b)-r.off)) {
		r.fail("text of %d bytes", n)
	}
	if r.err != nil {
		return ""
	}
	s := string(r.b[r.off : r.off+int(n)])
	r.off += int(n)
	if !utf8.ValidString(s) {
		r.fail("text that is not UTF-8")
	}
	return s
}
