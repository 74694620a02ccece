package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/blinklabs-io/dingo/config/cardano"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
)

// poolFunds is the genesis output whose stake is delegated to the embedded pool: without it nobody may forge.
const (
	poolFunds    = "00813c32c92aad21770ff8001de0918f598df8c06775f77f8e8839d2a0074a515f7f32bf31a4f41c7417a8136e8152bfb42f06d71b389a6896"
	poolLovelace = 900_000_000_000
)

type object = map[string]any

func embedded(network, name string) (object, error) {
	b, err := cardano.EmbeddedConfigFS.ReadFile(network + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("embedded genesis: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // large integers stay exact
	m := object{}
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("embedded %s/%s: %w", network, name, err)
	}
	return m, nil
}

// genesis builds the node's configuration in memory: dingo's embedded devnet with our time, funds and mainnet's
// parameters. With an empty s.ShelleyGenesisHash the hash is that of the file built, else the recorded one.
func (s Settings) genesis() (*cardano.CardanoNodeConfig, error) {
	b, err := cardano.EmbeddedConfigFS.ReadFile("devnet/config.json")
	if err != nil {
		return nil, fmt.Errorf("embedded configuration: %w", err)
	}
	nc, err := cardano.NewCardanoNodeConfigFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("embedded configuration: %w", err)
	}
	for _, g := range []struct {
		name string
		edit func(object) error
		hash *string
		load func(io.Reader) error
	}{
		{"byron-genesis.json", s.byron, &nc.ByronGenesisHash, nc.LoadByronGenesisFromReader},
		{"shelley-genesis.json", s.shelley, &nc.ShelleyGenesisHash, nc.LoadShelleyGenesisFromReader},
		{"alonzo-genesis.json", s.alonzo, &nc.AlonzoGenesisHash, nc.LoadAlonzoGenesisFromReader},
		{"conway-genesis.json", s.conway, &nc.ConwayGenesisHash, nc.LoadConwayGenesisFromReader},
		{"dijkstra-genesis.json", func(object) error { return nil }, &nc.DijkstraGenesisHash, nc.LoadDijkstraGenesisFromReader},
	} {
		m, err := embedded("devnet", g.name)
		if err != nil {
			return nil, err
		}
		if err := g.edit(m); err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		file, err := json.Marshal(m) // sorted keys: the same settings give the same hash
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		*g.hash = lcommon.Blake2b256Hash(file).String()
		if err := g.load(bytes.NewReader(file)); err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if s.ShelleyGenesisHash != "" {
		nc.ShelleyGenesisHash = s.ShelleyGenesisHash
	}
	return nc, nil
}

func (s Settings) byron(m object) error {
	m["startTime"] = s.SystemStart.Unix() // equals Shelley's systemStart, in whole seconds
	m["protocolConsts"] = object{"k": s.SecurityParam(), "protocolMagic": s.Magic}
	return nil
}

func (s Settings) shelley(m object) error {
	m["systemStart"] = s.SystemStart.UTC().Format(time.RFC3339)
	m["slotLength"] = s.SlotLength().Seconds()
	m["epochLength"] = s.EpochLength
	m["securityParam"] = s.SecurityParam()
	m["networkMagic"] = s.Magic
	m["slotsPerKESPeriod"] = 1_000_000_000 // the pool's one KES key never has to evolve
	funds := object{poolFunds: uint64(poolLovelace)}
	total := uint64(poolLovelace)
	for a, v := range s.Funds {
		funds[a] = v
		if total += v; total < v || total > 1<<62 {
			return fmt.Errorf("%w: the genesis funds exceed 2^62 lovelace", ErrSettings)
		}
	}
	m["initialFunds"] = funds
	m["maxLovelaceSupply"] = total + 1_000_000_000_000_000 // the rest is the reserve rewards come from
	pp, ok := m["protocolParams"].(object)
	if !ok {
		return fmt.Errorf("protocolParams is %T", m["protocolParams"])
	}
	pp["protocolVersion"] = object{"major": s.ProtocolMajor, "minor": 0}
	pp["minFeeA"], pp["minFeeB"] = minFeeA, minFeeB
	pp["maxTxSize"], pp["maxBlockBodySize"] = maxTxSize, maxBlockBodySize
	pp["keyDeposit"], pp["poolDeposit"] = keyDeposit, poolDeposit
	return nil
}

func (s Settings) alonzo(m object) error {
	m["lovelacePerUTxOWord"] = lovelacePerUTxOWord
	m["executionPrices"] = object{"prMem": priceMem, "prSteps": priceSteps}
	m["maxTxExUnits"] = object{"exUnitsMem": maxTxMem, "exUnitsSteps": uint64(maxTxSteps)}
	m["maxBlockExUnits"] = object{"exUnitsMem": maxBlockMem, "exUnitsSteps": uint64(maxBlockSteps)}
	m["maxValueSize"] = maxValueSize
	m["collateralPercentage"] = collateralPercentage
	m["maxCollateralInputs"] = maxCollateralInputs
	return nil
}

func (s Settings) conway(m object) error {
	main, err := embedded("mainnet", "conway-genesis.json")
	if err != nil {
		return err
	}
	costs, ok := main["plutusV3CostModel"].([]any)
	if !ok || len(costs) != 251 {
		return fmt.Errorf("mainnet's genesis cost model is %T of %d values, not 251", main["plutusV3CostModel"], len(costs))
	}
	for _, v := range plutusV3Bitwise {
		costs = append(costs, v)
	}
	m["plutusV3CostModel"] = costs
	m["minFeeRefScriptCostPerByte"] = minFeeRefScriptCostPerByte
	return nil
}
