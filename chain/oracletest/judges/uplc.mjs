// Aiken's evaluator, written in Rust.
import csl from "@emurgo/cardano-serialization-lib-nodejs"; // only to read the answer
import aiken from "@lucid-evolution/uplc";
import { costModels } from "./cbor.mjs";

export function units(c, network) {
  const p = network.params;
  const answers = aiken.eval_phase_two_raw(
    c.tx,
    c.utxos.map(([ref]) => ref),
    c.utxos.map(([, output]) => output),
    costModels(p.cost_model_v3),
    BigInt(p.max_tx_units.steps),
    BigInt(p.max_tx_units.mem),
    BigInt(network.slots.start_ms),
    0n,
    network.slots.length_ms,
  );
  return {
    units: answers.map((raw) => {
      const r = csl.Redeemer.from_bytes(raw);
      return {
        purpose: ["spend", "mint"][r.tag().kind()],
        index: Number(r.index().to_str()),
        mem: Number(r.ex_units().mem().to_str()),
        steps: Number(r.ex_units().steps().to_str()),
      };
    }),
  };
}
