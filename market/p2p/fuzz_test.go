package p2p

import "testing"

// FuzzParseKey: a key file is a key of the one kind there is, or an error.
func FuzzParseKey(f *testing.F) {
	f.Add([]byte(keyHeader + "CAESQA=="))
	f.Add([]byte(keyHeader))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := parseKey(text)
		if err == nil && key == nil {
			t.Fatal("neither key nor error")
		}
	})
}
