package index

import (
	"context"
	"database/sql"
)

// onStatement runs one of two: prepared on the statement, which the database has parsed the first time, or text where
// the driver remembers statements by itself. There are a few dozen.
func onStatement[R any](ctx context.Context, ix *Index, tx *sql.Tx, query string, prepared func(*sql.Stmt) (R, error), text func(string) (R, error)) (none R, err error) {
	if ix.d.remembers {
		return text(ix.d.sql(query))
	}
	s, err := ix.statement(ctx, query)
	if err != nil {
		return none, err
	}
	return prepared(tx.StmtContext(ctx, s))
}

func (ix *Index) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	ix.parsing.Lock()
	defer ix.parsing.Unlock()
	if s, ok := ix.statements[query]; ok {
		return s, nil
	}
	s, err := ix.db.PrepareContext(ctx, ix.d.sql(query))
	if err == nil {
		ix.statements[query] = s
	}
	return s, err
}
