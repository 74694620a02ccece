// cardano-multiplatform-lib: id, least fee, script data hash and signatures, a second time.
import cml from "@dcspark/cardano-multiplatform-lib-nodejs";
import { costModels } from "./cbor.mjs";

function price(fraction) {
  const [num, den] = fraction.split("/");
  return cml.Rational.new(BigInt(num), BigInt(den));
}

export function judge(c, network) {
  const p = network.params;
  const tx = cml.Transaction.from_cbor_bytes(c.tx);
  const witnesses = tx.witness_set();
  const redeemers = witnesses.redeemers();
  const models = cml.CostModels.from_cbor_bytes(costModels(p.cost_model_v3));
  const [num, den] = p.ref_script_price.split("/");
  if (den !== "1") throw new Error(`cml takes no fraction of a lovelace for a byte of reference scripts: ${num}/${den}`);
  const fees = cml.LinearFee.new(BigInt(p.fee_per_byte), BigInt(p.fee_fixed), BigInt(num));
  const prices = cml.ExUnitPrices.new(price(p.mem_price), price(p.step_price));
  const id = cml.hash_transaction(tx.body());
  return {
    id: id.to_hex(),
    length: tx.to_cbor_bytes().length,
    min_fee: Number(cml.min_fee(tx, fees, prices, BigInt(referencedBytes(c, tx.body())))),
    script_data_hash: redeemers && cml.hash_script_data(redeemers, models).to_hex(),
    signed: signed(id, witnesses),
  };
}

function signed(id, witnesses) {
  const keys = witnesses.vkeywitnesses();
  for (let i = 0; i < (keys?.len() ?? 0); i++) {
    const w = keys.get(i);
    if (!w.vkey().verify(id.to_raw_bytes(), w.ed25519_signature())) return false;
  }
  return true;
}

// referencedBytes counts the reference scripts on inputs and reference inputs.
function referencedBytes(c, body) {
  const scripts = new Map();
  for (const [ref, output] of c.utxos) {
    const script = cml.TransactionOutput.from_cbor_bytes(output).script_ref()?.as_plutus_v3();
    if (script) scripts.set(ref.toString("hex"), script.to_raw_bytes().length);
  }
  let n = 0;
  for (const set of [body.inputs(), body.reference_inputs()]) {
    for (let i = 0; i < (set?.len() ?? 0); i++) {
      n += scripts.get(Buffer.from(set.get(i).to_cbor_bytes()).toString("hex")) ?? 0;
    }
  }
  return n;
}
