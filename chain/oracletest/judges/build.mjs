// Reads {maker, params, from: [ref, output], to, change, coin, ttl} and prints the unsigned transaction that a library
// makes of it, in its own encoding.
import { readFileSync } from "node:fs";
import csl from "@emurgo/cardano-serialization-lib-nodejs";
import cml from "@dcspark/cardano-multiplatform-lib-nodejs";
import { costModels } from "./cbor.mjs";

const makers = { csl: byCSL, cml: byCML };
const q = JSON.parse(readFileSync(0));
console.log(makers[q.maker](q));

function byCSL({ params: p, from, to, change, coin, ttl }) {
  const big = (n) => csl.BigNum.from_str(String(n));
  const config = csl.TransactionBuilderConfigBuilder.new()
    .fee_algo(csl.LinearFee.new(big(p.fee_per_byte), big(p.fee_fixed)))
    .coins_per_utxo_byte(big(p.coins_per_utxo_byte))
    .key_deposit(big(p.key_deposit))
    .pool_deposit(big(0))
    .max_value_size(p.max_value_size)
    .max_tx_size(p.max_tx_size)
    .build();
  const b = csl.TransactionBuilder.new(config);
  const spent = csl.TransactionOutput.from_hex(from[1]);
  b.add_regular_input(spent.address(), csl.TransactionInput.from_hex(from[0]), spent.amount());
  b.add_output(csl.TransactionOutput.new(csl.Address.from_bech32(to), csl.Value.new(big(coin))));
  b.set_ttl_bignum(big(ttl));
  b.add_change_if_needed(csl.Address.from_bech32(change));
  return b.build_tx().to_hex();
}

function byCML({ params: p, from, to, change, coin, ttl }) {
  const price = (fraction) => cml.Rational.new(...fraction.split("/").map(BigInt));
  const config = cml.TransactionBuilderConfigBuilder.new()
    .fee_algo(cml.LinearFee.new(BigInt(p.fee_per_byte), BigInt(p.fee_fixed), 15n))
    .coins_per_utxo_byte(BigInt(p.coins_per_utxo_byte))
    .key_deposit(BigInt(p.key_deposit))
    .pool_deposit(0n)
    .max_value_size(p.max_value_size)
    .max_tx_size(p.max_tx_size)
    .ex_unit_prices(cml.ExUnitPrices.new(price(p.mem_price), price(p.step_price)))
    .cost_models(cml.CostModels.from_cbor_bytes(costModels(p.cost_model_v3)))
    .collateral_percentage(p.collateral_percent)
    .max_collateral_inputs(p.max_collateral_inputs)
    .build();
  const b = cml.TransactionBuilder.new(config);
  const spent = cml.TransactionOutput.from_cbor_hex(from[1]);
  const unspent = cml.TransactionUnspentOutput.new(cml.TransactionInput.from_cbor_hex(from[0]), spent);
  b.add_input(cml.SingleInputBuilder.from_transaction_unspent_output(unspent).payment_key());
  b.add_output(cml.TransactionOutputBuilder.new().with_address(cml.Address.from_bech32(to)).next()
    .with_value(cml.Value.from_coin(BigInt(coin))).build());
  b.set_ttl(BigInt(ttl));
  return b.build(cml.ChangeSelectionAlgo.Default, cml.Address.from_bech32(change)).build_unchecked().to_cbor_hex();
}
