package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/blinklabs-io/dingo"
	"github.com/blinklabs-io/dingo/database"
)

// mend makes dir's database one that the node can go on from, and returns its last block, the zero Tip for none: the
// node's clock has to be right before the node starts.
//
// A database is two stores: blocks (badger) and metadata (sqlite), where the ledger is. What changes both is committed to
// the first and then to the second, under one time stamp in each. A kill in between leaves blocks the ledger has not seen,
// and two stamps. Faced with that, dingo v0.66.0 deletes those blocks after its chain has been loaded with them: the
// ledger waits forever for a block that is gone, and nothing is forged. With equal stamps it does what it does after any
// other kill: the ledger takes the blocks it has not seen, writing what the lost commit would have written, or, if it is
// the one ahead, goes back to the last block there is. So the stamps are made equal, and no block is deleted.
func mend(dir string, log *slog.Logger) (tip Tip, err error) {
	path := filepath.Join(dir, dbDir)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Tip{}, nil
	}
	db, err := database.New(&database.Config{
		DataDir:     path,
		Logger:      log,
		Network:     networkName,
		StorageMode: string(dingo.StorageModeCore),
	})
	if db != nil {
		defer func() {
			if e := db.Close(); e != nil {
				err = errors.Join(err, fmt.Errorf("close the database: %w", e))
			}
		}()
	}
	var torn database.CommitTimestampError
	switch {
	case errors.As(err, &torn):
		log.Warn("the last run ended between two commits: the ledger will take the blocks it has not seen", "blocks", torn.BlobTimestamp, "metadata", torn.MetadataTimestamp)
		if err := db.Metadata().SetCommitTimestamp(torn.BlobTimestamp, nil); err != nil {
			return Tip{}, fmt.Errorf("mend the database: %w", err)
		}
	case err != nil:
		return Tip{}, fmt.Errorf("open the database: %w", err)
	}
	last, err := database.BlocksRecent(db, 1)
	if err != nil {
		return Tip{}, fmt.Errorf("read the last block: %w", err)
	}
	if len(last) > 0 {
		tip = Tip{Slot: last[0].Slot, Height: last[0].Number, Hash: hex.EncodeToString(last[0].Hash)}
	}
	return tip, nil
}
