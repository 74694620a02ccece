// Scalus: the ledger's rules, and an evaluator written in Scala.
import scalus from "scalus";
import { map } from "./cbor.mjs";

const { Emulator, Scalus, SlotConfig } = scalus;
const slots = (network) => new SlotConfig(network.slots.start_ms, 0, network.slots.length_ms);

export function judge(c, network) {
  const emulator = new Emulator(map(c.utxos), slots(network));
  emulator.setSlot(c.slot);
  const r = emulator.submitTx(c.tx);
  return r.isSuccess ? { id: r.txHash } : { refused: String(r.error).slice(0, 1000) };
}

export function units(c, network) {
  const used = Scalus.evalPlutusScripts(c.tx, map(c.utxos), slots(network), [[], [], network.params.cost_model_v3]);
  return {
    units: used.map((r) => ({
      purpose: String(r.tag).toLowerCase(),
      index: r.index,
      mem: Number(r.budget.memory),
      steps: Number(r.budget.steps),
    })),
  };
}
