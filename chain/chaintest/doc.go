// Package chaintest is a ledger in memory with chosen faults: it applies the ledger's real rules and runs the real
// scripts, but time passes, blocks come and blocks go only when the test says so.
package chaintest
