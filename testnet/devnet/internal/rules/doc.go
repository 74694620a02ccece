// Package rules makes dingo's Conway ledger as strict as cardano-node's where it is laxer.
//
// dingo v0.66.0 with gouroboros v0.189.4 accepts transactions the ledger refuses: an expired validity range, isValid
// false (which lets the funds of an always-failing script be spent), too few execution units, too little collateral,
// values with zero quantities, and nearly every wrong certificate and withdrawal. [Install] wraps the era's
// validation function, which the mempool, the forger and block application all call. One file holds one group of
// rules. Each refusal names the ledger's own failure (cardano-ledger, Conway UTXO, UTXOW, CERTS and DELEG rules), and
// travels to the submitter as such: stock dingo puts a made-up "InputSetEmpty" on the wire instead.
//
// What this node refuses although the ledger would take it: isValid false altogether, pool, DRep, committee and genesis
// certificates, withdrawals from keys and scripts in one transaction, and two transactions of one slot that change one
// credential's registration.
package rules
