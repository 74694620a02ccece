package market

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"github.com/tallycompute/tally/chain"
)

const (
	testNow   = chain.Time(1_800_000_000_000)
	testMagic = 42
	testImage = ImageDigest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
)

var testPolicy = chain.ScriptHash{1, 2, 3}

// party is a peer with a payment key.
type party struct {
	key  crypto.PrivKey
	id   peer.ID
	pay  ed25519.PrivateKey
	addr chain.Address
}

// newParty is the n-th party: the same every time.
func newParty(tb testing.TB, n byte) party {
	tb.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		tb.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	p := party{key: key, id: id, pay: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n, 7}, 16))}
	p.addr = chain.Enterprise(chain.Network{Magic: testMagic}, keyHash(tb, p.vkey()))
	return p
}

func (p party) vkey() []byte { return p.pay.Public().(ed25519.PublicKey) }

func (p party) sign(msg []byte) (vkey, sig []byte, err error) {
	return p.vkey(), ed25519.Sign(p.pay, msg), nil
}

func keyHash(tb testing.TB, vkey []byte) (k chain.KeyHash) {
	tb.Helper()
	h, err := blake2b.New(28, nil)
	if err != nil {
		tb.Fatal(err)
	}
	h.Write(vkey)
	copy(k[:], h.Sum(nil))
	return k
}

func (p party) offer() Offer {
	return Offer{
		Version: OfferVersion, Magic: testMagic, Contracts: testPolicy, Sequence: 7, Peer: p.id,
		Issued: testNow - 1000, Expires: Hour.After(testNow), Addrs: []string{"/ip4/10.0.0.1/tcp/4001"},
		Payment: p.addr, RateUNTX: 10, BondBps: DefaultBondBps, PenaltyBps: DefaultPenaltyBps,
		Capacity:  Capacity{Resources{4000, 8192, 20480}, 2},
		GPUs:      []GPU{{"NVIDIA GeForce RTX 4090", "GPU-1", 24564, "8.9"}},
		Isolation: "runc", OS: "linux", Arch: "amd64", Region: "eu", Images: []ImageDigest{testImage},
		Claims: []Claim{{"matmul f32", 41, "TFLOP/s", true}},
	}
}

func (p party) signed(tb testing.TB) []byte {
	tb.Helper()
	b, err := SignOffer(p.offer(), p.key, p.sign)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func testRequest(req party) QuoteRequest {
	return QuoteRequest{
		Version: 1, Magic: testMagic, Contracts: testPolicy, Nonce: [16]byte{9}, Requester: req.id, RequesterAddress: req.addr,
		OfferSequence: 7, Name: "digits", Kind: Training, Image: testImage, Resources: Resources{1000, 1024, 1024}, Shards: 1,
		Timeouts: Timeouts{Minute, Minute, 10 * Minute, Minute}, Review: 2 * Hour,
	}
}

func testQuote(tb testing.TB, p, req party) Quote {
	tb.Helper()
	id, err := testRequest(req).ID()
	if err != nil {
		tb.Fatal(err)
	}
	return Quote{
		Version: 1, Request: id, Requester: req.id, Provider: p.id, Reservation: ReservationID{1}, Magic: testMagic,
		Issued: testNow, Expires: Minute.After(testNow), PriceUNTX: 6000, BondBps: DefaultBondBps, PenaltyBps: DefaultPenaltyBps,
		Payment: p.addr, PaymentKey: p.vkey(), BondInput: chain.OutRef{Tx: chain.TxID{p.vkey()[0]}, Index: 1}, BondAddress: p.addr,
		BondValue: Funds{5_000_000, []Amount{{chain.AssetID{Policy: chain.ScriptHash{5}, Name: "NTX"}, 1200}}}, Change: p.addr,
		GPUs: []string{"GPU-1"},
	}
}

func testTerms(tb testing.TB, req party, providers ...party) Terms {
	tb.Helper()
	r := testRequest(req)
	t := Terms{
		Version: TermsVersion, Magic: testMagic, Policy: testPolicy, Spend: chain.ScriptHash{4}, Name: r.Name, Kind: r.Kind,
		Requester: req.id, RequesterAddress: req.addr, Seed: chain.OutRef{Tx: chain.TxID{0xff}},
		Task: Task{
			Image: r.Image, Command: "python train.py", Envs: map[string]string{"A": "b"}, Mounts: []string{"/job", "/data"},
			ShardInput: "/data", Shards: uint32(len(providers)), Collective: true, Resources: r.Resources,
		},
		Program: HashOf([]byte("program")), Timeouts: r.Timeouts, Review: r.Review, LockUntil: testNow, Nonce: [16]byte{3},
		BondBps: DefaultBondBps, PenaltyBps: DefaultPenaltyBps, LotLovelace: 1_800_000,
	}
	t.DeclineBy, t.CommitBy = Deadlines(testNow, t.Timeouts, 5*Minute)
	for i, p := range providers {
		q := testQuote(tb, p, req)
		t.Ring = append(t.Ring, uint32(i))
		t.Lots = append(t.Lots, LotTerms{
			Provider: p.id, Addrs: []string{"/ip4/10.0.0.1/tcp/4001"}, Payment: p.addr, PriceUNTX: q.PriceUNTX, BondInput: q.BondInput,
			Shards: []ShardTerms{{uint32(i), HashOf([]byte{byte(i)})}},
		})
	}
	return t
}

func testResult(tb testing.TB, t Terms, p party) Result {
	tb.Helper()
	hash, err := t.Hash()
	if err != nil {
		tb.Fatal(err)
	}
	lot, _ := t.LotOf(p.id)
	r := Result{Version: 1, Job: JobID{8}, Terms: hash, Provider: p.id}
	for _, s := range lot.Shards {
		r.Shards = append(r.Shards, ShardResult{
			Index: s.Index, Started: testNow, Finished: testNow + 5000, Output: HashOf([]byte("out")),
			Traffic: []Traffic{{1 - s.Index, 100 + uint64(s.Index), 101 - uint64(s.Index)}}, ParamsStep: 10, Params: HashOf([]byte("p")),
		})
	}
	return r
}
