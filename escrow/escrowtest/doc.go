// Package escrowtest is a party of the escrow over a chaintest ledger: the book it reads from blocks, the purse it pays
// from and the node it asks, all in memory, with the real contracts, transactions and state table.
package escrowtest
