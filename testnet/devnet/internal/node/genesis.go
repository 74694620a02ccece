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
	m["initialFunds"] = funds
	if s.Producers > 1 {
		second, err := secondPool()
		if err != nil {
			return err
		}
		if err := second.addPool(m); err != nil {
			return err
		}
	}
	var total uint64
	for a, v := range s.Funds {
		funds[a] = v
		if total += v; total < v || total > 1<<62 {
			return fmt.Errorf("%w: the genesis funds exceed 2^62 lovelace", ErrSettings)
		}
	}
	m["maxLovelaceSupply"] = total + uint64(max(s.Producers, 1))*poolLovelace + 1_000_000_000_000_000 // the rest is the reserve rewards come from
	pp, ok := m["protocolParams"].(object)
	if !ok {
		return fmt.Errorf("protocolParams is %T", m["protocolParams"])
	}
	pp["protocolVersion"] = object{"major": s.ProtocolMajor, "minor": 0}
	return setParams("shelley", pp, s.Params)
}

func (s Settings) alonzo(m object) error { return setParams("alonzo", m, s.Params) }

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
	return setParams("conway", m, s.Params)
}
