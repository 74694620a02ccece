// Command oracletest holds Tally's transactions against others who know the Cardano ledger: a node with hardened rules,
// scalus's ledger rules, two serialization libraries and two more script evaluators. It makes transactions of every
// shape that Tally makes on a fresh chain, and breaks each in many ways; every judge must take the whole ones and
// refuse the broken ones. It needs the node packages that judges/package-lock.json pins.
package main
