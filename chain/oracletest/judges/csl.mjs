// cardano-serialization-lib: id, least fee, script data hash and signatures.
import csl from "@emurgo/cardano-serialization-lib-nodejs";
import { costModels } from "./cbor.mjs";

const big = (n) => csl.BigNum.from_str(String(n));

function price(fraction) {
  const [num, den] = fraction.split("/");
  return csl.UnitInterval.new(big(num), big(den));
}

export function judge(c, network) {
  const p = network.params;
  const fixed = csl.FixedTransaction.from_bytes(c.tx);
  const tx = csl.Transaction.from_bytes(c.tx);
  const witnesses = fixed.witness_set();

  // The library reads a transaction into a form that it writes shorter: the bytes that were there count.
  const lost = c.tx.length - tx.to_bytes().length;
  let fee = BigInt(csl.min_fee(tx, csl.LinearFee.new(big(p.fee_per_byte), big(p.fee_fixed))).to_str());
  fee += BigInt(lost * p.fee_per_byte);
  let scriptDataHash;
  const redeemers = witnesses.redeemers();
  if (redeemers) {
    const prices = csl.ExUnitPrices.new(price(p.mem_price), price(p.step_price));
    fee += BigInt(csl.min_script_fee(tx, prices).to_str());
    const models = csl.Costmdls.from_bytes(costModels(p.cost_model_v3));
    scriptDataHash = csl.hash_script_data(redeemers, models).to_hex();
  }
  const referenced = referencedBytes(c, fixed.body());
  if (referenced > 0) {
    fee += BigInt(csl.min_ref_script_fee(referenced, price(p.ref_script_price)).to_str());
  }
  return {
    id: fixed.transaction_hash().to_hex(),
    length: fixed.to_bytes().length,
    min_fee: Number(fee),
    script_data_hash: scriptDataHash,
    signed: signed(fixed, witnesses),
  };
}

function signed(fixed, witnesses) {
  const keys = witnesses.vkeys();
  for (let i = 0; i < (keys?.len() ?? 0); i++) {
    const w = keys.get(i);
    if (!w.vkey().public_key().verify(fixed.transaction_hash().to_bytes(), w.signature())) return false;
  }
  return true;
}

// referencedBytes counts the reference scripts on inputs and reference inputs.
function referencedBytes(c, body) {
  const scripts = new Map();
  for (const [ref, output] of c.utxos) {
    const script = csl.TransactionOutput.from_bytes(output).script_ref()?.plutus_script();
    if (script) scripts.set(ref.toString("hex"), script.bytes().length);
  }
  let n = 0;
  for (const set of [body.inputs(), body.reference_inputs()]) {
    for (let i = 0; i < (set?.len() ?? 0); i++) n += scripts.get(set.get(i).to_hex()) ?? 0;
  }
  return n;
}
