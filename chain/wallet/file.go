package wallet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// PassphraseEnv names the environment variable a passphrase may come from.
const PassphraseEnv = "TALLY_WALLET_PASSPHRASE"

// Passphrase gives the passphrase of a wallet file when it is needed.
type Passphrase func() (string, error)

// FromEnv asks the environment variable PassphraseEnv first, then next.
func FromEnv(next Passphrase) Passphrase {
	return func() (string, error) {
		if p := os.Getenv(PassphraseEnv); p != "" {
			return p, nil
		}
		return next()
	}
}

// FromFile reads a passphrase from the first line of a file.
func FromFile(path string) Passphrase {
	return func() (string, error) {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("passphrase: %w", err)
		}
		if exposed(info.Mode()) {
			return "", fmt.Errorf("passphrase in %s: mode %v: %w", path, info.Mode().Perm(), ErrExposed)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("passphrase: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
}

// maxFile bounds a wallet file.
const maxFile = 64 << 10

// secretFile is what a wallet file holds, encrypted.
type secretFile struct {
	Version int `json:"version"`
	openSecret
}

// openSecret is a secret that can be encoded.
type openSecret Secret

// WorkFactor is how much a guess at a passphrase costs: 2^18 rounds of scrypt, a second or so and 256 MiB, whether it is
// right or wrong.
const WorkFactor = 18

// Save encrypts a secret with a passphrase (age, scrypt) into a new file that only its owner can read. workFactor is
// the hash's, as a power of two; 0: WorkFactor. ErrExists: there is a file already; it stays as it is.
func Save(path string, s Secret, pass Passphrase, workFactor int) error {
	if _, _, err := s.keys(); err != nil {
		return err
	}
	p, err := pass()
	if err != nil {
		return fmt.Errorf("save wallet: %w", err)
	}
	to, err := age.NewScryptRecipient(p)
	if err != nil {
		return fmt.Errorf("save wallet: %w: %w", err, ErrSecret)
	}
	to.SetWorkFactor(cmp.Or(workFactor, WorkFactor))
	plain, err := json.Marshal(secretFile{1, openSecret(s)})
	if err != nil {
		return fmt.Errorf("save wallet: %w", err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, to)
	if err == nil {
		if _, err = w.Write(plain); err == nil {
			err = w.Close()
		}
	}
	if err == nil {
		err = WriteNew(path, sealed.Bytes())
	}
	if errors.Is(err, fs.ErrExist) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("save wallet %s: %w", path, err)
	}
	return nil
}

// WriteNew puts a whole file, which only its owner can read, where none was; or nothing. It is on the disk when it
// returns. fs.ErrExist: there is one already; it stays as it is.
func WriteNew(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".wallet-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// Load decrypts a wallet file. ErrSecret: the passphrase is not the file's. ErrExposed: others could read it.
func Load(path string, pass Passphrase) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return Secret{}, fmt.Errorf("load wallet: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, fmt.Errorf("load wallet: %w", err)
	}
	if exposed(info.Mode()) {
		return Secret{}, fmt.Errorf("load wallet %s: mode %v: %w", path, info.Mode().Perm(), ErrExposed)
	}
	p, err := pass()
	if err != nil {
		return Secret{}, fmt.Errorf("load wallet: %w", err)
	}
	s, err := unseal(io.LimitReader(f, maxFile), p)
	if err != nil {
		return Secret{}, fmt.Errorf("load wallet %s: %w", path, err)
	}
	return s, nil
}

// unseal decrypts what Save wrote. ErrSecret: it is something else, or of another passphrase.
func unseal(sealed io.Reader, passphrase string) (Secret, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: %w", err, ErrSecret)
	}
	r, err := age.Decrypt(sealed, id)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return Secret{}, fmt.Errorf("this is not its passphrase: %w", ErrSecret)
	}
	if err != nil {
		return Secret{}, fmt.Errorf("%w: %w", err, ErrSecret)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: %w", err, ErrSecret)
	}
	var s secretFile
	if err := json.Unmarshal(plain, &s); err != nil || s.Version != 1 {
		return Secret{}, fmt.Errorf("version %d: %w", s.Version, ErrSecret)
	}
	return Secret(s.openSecret), nil
}
