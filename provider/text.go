package provider

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tallycompute/tally/market"
)

// maxSentence is the longest sentence of a refusal, in bytes.
const maxSentence = 1000

// safe is text without control characters but line breaks, short enough to send. Of long text the end is kept: a
// program's last words say most.
func safe(s string) string { return safeTo(s, market.MaxMessage) }

func safeTo(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			return r
		case r == '\t':
			return ' '
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= limit {
		return s
	}
	s = s[len(s)-limit:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}

// share is what each of n gets of a total, and at most so much.
func share(total, n, most int) int { return min(total/max(n, 1), most) }
