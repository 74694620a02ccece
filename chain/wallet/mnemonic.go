package wallet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blinklabs-io/go-bip39"
)

// mnemonicWords are the numbers of words a mnemonic can have (BIP-39).
var mnemonicWords = []int{12, 15, 18, 21, 24}

// NewMnemonic makes so many words of fresh entropy: 12, 15, 18, 21 or 24 (BIP-39).
func NewMnemonic(words int) (string, error) {
	if !slices.Contains(mnemonicWords, words) {
		return "", fmt.Errorf("a mnemonic of %d words: 12, 15, 18, 21 or 24 are possible: %w", words, ErrSecret)
	}
	entropy, err := bip39.NewEntropy(words / 3 * 32)
	if err != nil {
		return "", fmt.Errorf("make a mnemonic: %w", err)
	}
	m, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("make a mnemonic: %w", err)
	}
	return m, nil
}

// Mnemonic brings words as a person types them into their one form: lower case, one space between. ErrSecret says
// which word is wrong and what it may have been, or that there are too few or too many, or that the checksum does not
// hold; it never has more of the words than the one that is none.
func Mnemonic(typed string) (string, error) {
	m, _, err := mnemonicEntropy(typed)
	return m, err
}

func mnemonicEntropy(typed string) (string, []byte, error) {
	words := strings.Fields(strings.ToLower(typed))
	for i, w := range words {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return "", nil, fmt.Errorf("word %d of the mnemonic, %.20q, is not one of BIP-39's; did you mean %s? %w", i+1, w, strings.Join(nearest(w), " or "), ErrSecret)
		}
	}
	if !slices.Contains(mnemonicWords, len(words)) {
		return "", nil, fmt.Errorf("a mnemonic of %d words: it has 12, 15, 18, 21 or 24: %w", len(words), ErrSecret)
	}
	m := strings.Join(words, " ")
	entropy, err := bip39.EntropyFromMnemonic(m)
	if err != nil {
		return "", nil, fmt.Errorf("the mnemonic's checksum does not hold: a word is another one of the list, or two are swapped: %w", ErrSecret)
	}
	return m, entropy, nil
}

// nearest are the words of the list that are most like w, in the list's order; three at most.
func nearest(w string) (found []string) {
	best := len(w) + 8
	if len(w) > 20 { // no word has more than eight letters
		w = w[:20]
	}
	for _, x := range bip39.GetWordList() {
		switch d := distance(w, x); {
		case d < best:
			best, found = d, []string{x}
		case d == best && len(found) < 3:
			found = append(found, x)
		}
	}
	return found
}

// distance is how many letters must be put in, left out, changed or swapped with the next to make b of a (Damerau and
// Levenshtein's, restricted).
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			next[j+1] = min(row[j]+change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
