// Reads one JSON object a line: first the network ({params, slots}), then transactions ({tx, utxos, slot, units}).
// Answers each transaction with what every judge says of it. A judge that throws has refused.
import { createInterface } from "node:readline";
import * as cml from "./cml.mjs";
import * as csl from "./csl.mjs";
import * as scalus from "./scalus.mjs";
import * as uplc from "./uplc.mjs";

const bytes = (hex) => Buffer.from(hex, "hex");

function ask(question) {
  try {
    return question();
  } catch (e) {
    return { refused: String(e?.message ?? e).slice(0, 1000) };
  }
}

let network;
for await (const line of createInterface({ input: process.stdin })) {
  const given = JSON.parse(line);
  if (!network) {
    network = given;
    continue;
  }
  const c = {
    tx: bytes(given.tx),
    utxos: given.utxos.map(([ref, output]) => [bytes(ref), bytes(output)]),
    slot: given.slot,
  };
  const answer = { csl: ask(() => csl.judge(c, network)), cml: ask(() => cml.judge(c, network)) };
  answer.scalus = ask(() => scalus.judge(c, network));
  if (given.units) {
    answer.scalus_units = ask(() => scalus.units(c, network));
    answer.uplc_units = ask(() => uplc.units(c, network));
  }
  console.log(JSON.stringify(answer));
}
