// Package chain has the words of the Cardano ledger that Tally uses and builds Conway transactions from them: pure,
// without I/O, clock or keys. What talks to a node, keeps keys or stores blocks lives in its subpackages.
package chain
