// Simtrust plays jobs between honest and dishonest strangers, and says what honesty and cheating bring.
//
// Nothing is put on a chain, but every lot goes the way that it would go there: who does what when is escrow.Due's answer
// to what each party knows, every step is taken by escrow.Step, which refuses what the contracts would, payouts are
// plutus.Lot.Split's, and verdicts are signatures of attesters that escrow.Collect counts. Fees are those of
// bench/settlement.json. Random numbers are seeded, so the same tree gives the same numbers.
//
// It is run in the root of the source tree. It writes bench/trust.json, the tables in docs/explanation/proof-of-completion.md
// and the plot beside them, and fails if a claim does not hold.
package main
