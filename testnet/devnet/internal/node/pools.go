package node

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"

	"github.com/blinklabs-io/dingo/config/cardano"
	"github.com/blinklabs-io/gouroboros/cbor"
	"github.com/blinklabs-io/gouroboros/kes"
	"github.com/blinklabs-io/gouroboros/ledger"
	lcommon "github.com/blinklabs-io/gouroboros/ledger/common"
	"github.com/blinklabs-io/gouroboros/vrf"
)

// MaxProducers is how many block producers a chain may have, each with a pool of its own and the same stake.
const MaxProducers = 2

// poolFunds is the genesis output whose stake is delegated to the embedded pool: without it nobody may forge.
const (
	poolFunds    = "00813c32c92aad21770ff8001de0918f598df8c06775f77f8e8839d2a0074a515f7f32bf31a4f41c7417a8136e8152bfb42f06d71b389a6896"
	poolLovelace = 900_000_000_000
)

// keyFiles are a pool's block-producing keys, by the names of their files.
func keyFiles(pool int) (map[string][]byte, error) {
	if pool > 0 {
		p, err := secondPool()
		return p.files, err
	}
	files := map[string][]byte{}
	for _, name := range []string{vrfFile, kesFile, certFile} {
		b, err := cardano.EmbeddedConfigFS.ReadFile("devnet/keys/" + name)
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	return files, nil
}

// made is a pool derived here, with what the genesis says of it.
type made struct {
	files              map[string][]byte
	id, vrf            string // hex of hashes
	stakeKey, fundedAt string // hex
}

// secondPool derives the second producer's pool from public seeds: its keys protect as little as the embedded ones.
func secondPool() (made, error) {
	fail := func(err error) (made, error) { return made{}, fmt.Errorf("the second pool: %w", err) }
	seed := func(of string) []byte {
		h := lcommon.Blake2b256Hash([]byte("tally-devnet pool 2 " + of))
		return h[:]
	}
	public := func(of string) []byte {
		return ed25519.NewKeyFromSeed(seed(of)).Public().(ed25519.PublicKey)
	}
	vrfPublic, vrfSecret, err := vrf.KeyGen(seed("vrf"))
	if err != nil {
		return fail(err)
	}
	kesSecret, kesPublic, err := kes.KeyGen(kes.CardanoKesDepth, seed("kes"))
	if err != nil {
		return fail(err)
	}
	cert, err := ledger.CreateOpCert(kesPublic, 0, 0, seed("cold"))
	if err != nil {
		return fail(err)
	}
	files := map[string][]byte{}
	for _, f := range []struct {
		name, kind string
		content    any
	}{
		{vrfFile, "VrfSigningKey_PraosVRF", append(append([]byte{}, vrfSecret...), vrfPublic...)},
		{kesFile, "KesSigningKey_ed25519_kes_2^6", kesSecret.Data},
		{certFile, "NodeOperationalCertificate", []any{
			[]any{cert.KesVkey, cert.IssueNumber, cert.KesPeriod, cert.ColdSignature}, public("cold"),
		}},
	} {
		b, err := cbor.Encode(f.content)
		if err != nil {
			return fail(err)
		}
		files[f.name] = fmt.Appendf(nil, `{"type": %q, "description": "", "cborHex": "%x"}`, f.kind, b)
	}
	vrfHash := lcommon.Blake2b256Hash(vrfPublic)
	hash := func(b []byte) string {
		h := lcommon.Blake2b224Hash(b)
		return hex.EncodeToString(h[:])
	}
	stake := hash(public("stake"))
	return made{
		files: files, id: hash(public("cold")), vrf: hex.EncodeToString(vrfHash[:]),
		stakeKey: stake, fundedAt: "00" + hash(public("payment")) + stake,
	}, nil
}

// addPool enters the pool into a Shelley genesis, with as much stake as the embedded one has.
func (p made) addPool(genesis object) error {
	staking, _ := genesis["staking"].(object)
	pools, ok1 := staking["pools"].(object)
	stake, ok2 := staking["stake"].(object)
	funds, ok3 := genesis["initialFunds"].(object)
	if !ok1 || !ok2 || !ok3 {
		return fmt.Errorf("the embedded genesis has no staking")
	}
	pools[p.id] = object{
		"cost": 0, "margin": 0.0, "metadata": nil, "owners": []any{}, "pledge": 0, "publicKey": p.id, "relays": []any{},
		"rewardAccount": object{"credential": object{"key hash": p.stakeKey}, "network": "Testnet"}, "vrf": p.vrf,
	}
	stake[p.stakeKey] = p.id
	funds[p.fundedAt] = uint64(poolLovelace)
	return nil
}
