package testnet

import "path/filepath"

// KeepPassphrase writes the participant's passphrase beside its wallet, where tally finds it, so that a person can
// act as this participant. Only for worlds of test money.
func (p *Participant) KeepPassphrase() error {
	return writeFile(filepath.Join(p.Home, "passphrase"), []byte(p.passphrase+"\n"), 0o600)
}
