// Package index turns a followed chain into tables: the unspent outputs of what we watch, the transactions that touched
// it, and the events that handlers read out of blocks. Everything a block changes is written in one database
// transaction and undone in one, so that the tables always are what the chain up to the tip says, whatever is killed
// when. SQLite by default, PostgreSQL by DSN.
package index
