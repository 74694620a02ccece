package node

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/glebarez/go-sqlite" // the driver dingo's metadata store uses
)

// storedTip is the slot of the last block in dir's database, 0 for none. It reads dingo's metadata directly, for the
// node's clock has to be right before the node starts.
func storedTip(dir string) (slot uint64, err error) {
	path := filepath.Join(dir, dbDir, "metadata.sqlite")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String())
	if err != nil {
		return 0, fmt.Errorf("read the last block: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRow(`SELECT slot FROM tip WHERE id = 1`).Scan(&slot)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the last block: %w", err)
	}
	return slot, nil
}
