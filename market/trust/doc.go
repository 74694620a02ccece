// Package trust says when cheating does not pay: from the terms of a lot, the price, the cost of honest work and how
// results are checked, what a provider can expect that returns nonsense, and the sampling rate, the number of shards, the
// stake and the unit of payment at which that is no more than it would have without.
//
// What a way out of a lot pays is asked of package plutus; nothing is computed here that the contracts compute. Fees, in
// ADA, are left out: they are paid in another coin, and only ever make cheating dearer. Nobody is assumed to care for its
// name: a provider is here once.
package trust
