// Package wallet is the only holder of private keys: it derives or imports them, keeps them encrypted, signs what was
// built here or checked, and reserves outputs so that no two transactions in the making want the same one.
package wallet

import "errors"

// Kinds of this package's errors.
var (
	// ErrSecret is a mnemonic, key file or passphrase that is not valid.
	ErrSecret = errors.New("invalid secret")
	// ErrExists is a wallet where none should be: wallets are never overwritten.
	ErrExists = errors.New("wallet exists")
	// ErrExposed is a wallet file that others on this machine can read.
	ErrExposed = errors.New("wallet file is open to others")
	// ErrNotApproved is something this wallet did not build and nobody checked.
	ErrNotApproved = errors.New("not approved for signing")
	// ErrWatching is a wallet that has public keys alone and was asked to sign.
	ErrWatching = errors.New("this wallet only looks, its key is elsewhere")
	// ErrReserved is an output that is reserved for another purpose.
	ErrReserved = errors.New("output is reserved")
	// ErrStore is a reservation store that failed.
	ErrStore = errors.New("reservation store")
)
