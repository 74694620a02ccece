package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/tallycompute/tally/chain"
)

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// picos are the picoseconds of a time; decades of them are more than fit an integer of CBOR.
func picos(seconds int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1_000_000_000_000))
}

// mainnetEras is mainnet's history up to Allegra, in the encoding named in eraHistory's comment: Byron's 208 epochs of 21,600
// slots of 20 s, then epochs of 432,000 slots of 1 s.
func mainnetEras(lastEnd any, more ...any) []any {
	at := func(seconds, slot, epoch int64) []any { return append([]any{picos(seconds), slot, epoch}, more...) }
	zone := func(slots int) []any { return []any{0, slots, []any{0}} }
	byron, shelley := []any{21600, 20_000, zone(4320), 4320}, []any{432_000, 1000, zone(129_600), 129_600}
	return []any{
		[]any{at(0, 0, 0), at(89_856_000, 4_492_800, 208), byron},
		[]any{at(89_856_000, 4_492_800, 208), at(101_952_000, 16_588_800, 236), shelley},
		[]any{at(101_952_000, 16_588_800, 236), lastEnd, shelley},
	}
}

// TestEraHistory reads the forms that cardano-node has given era histories.
func TestEraHistory(t *testing.T) {
	mainnet := []chain.Era{{SlotLength: 20_000}, {FirstSlot: 4_492_800, Start: 89_856_000_000, SlotLength: 1000}, {FirstSlot: 16_588_800, Start: 101_952_000_000, SlotLength: 1000}}
	end := []any{picos(102_384_000), 17_020_800, 237}
	preview := []any{ // forks at epoch 0: eras of no length
		[]any{[]any{0, 0, 0}, []any{0, 0, 0}, []any{4320, 20_000, []any{0, 864, []any{0}}, 864}},
		[]any{[]any{0, 0, 0}, []any{0, 0, 0}, []any{86_400, 1000, []any{0, 25_920, []any{0}}, 25_920}},
		[]any{[]any{0, 0, 0}, []any{picos(86_400), 86_400, 1}, []any{86_400, 1000, []any{0, 25_920, []any{0}}, 25_920}},
	}
	unbounded := []any{[]any{[]any{0, 0, 0}, nil, []any{100, 500, []any{1}, 100}}}
	bignum := []any{[]any{[]any{cbor.Tag{Number: 2, Content: []byte{0}}, 0, 0}, nil, []any{100, 500, []any{1}, 100}}}
	for name, c := range map[string]struct {
		raw     []byte
		eras    []chain.Era
		horizon chain.Slot
	}{
		"mainnet":         {encoded(t, mainnetEras(end)), mainnet, 17_020_800},
		"no end":          {encoded(t, mainnetEras(nil)), mainnet, 0},
		"with rounds":     {encoded(t, mainnetEras(append(slices.Clone(end), 0), 0)), mainnet, 17_020_800},
		"forks at once":   {encoded(t, preview), []chain.Era{{SlotLength: 20_000}, {SlotLength: 1000}, {SlotLength: 1000}}, 86_400},
		"nothing bounded": {encoded(t, unbounded), []chain.Era{{SlotLength: 500}}, 0},
		"bignum":          {encoded(t, bignum), []chain.Era{{SlotLength: 500}}, 0},
		"indefinite list": {slices.Concat([]byte{0x9f}, encoded(t, mainnetEras(end))[1:], []byte{0xff}), mainnet, 17_020_800},
		"era of rounds": {
			encoded(t, []any{[]any{[]any{0, 0, 0, 0}, nil, []any{100, 500, []any{1}, 100, 90}}}), []chain.Era{{SlotLength: 500}}, 0,
		},
	} {
		eras, horizon, err := eraHistory(c.raw)
		if err != nil || !slices.Equal(eras, c.eras) || horizon != c.horizon {
			t.Errorf("%s: %+v, horizon %d, %v", name, eras, horizon, err)
		}
		if err := (chain.Clock{Eras: eras}).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string][]byte{
		"no list":       encoded(t, 1),
		"many":          encoded(t, make([]any, maxEras+1)),
		"half an era":   encoded(t, []any{[]any{[]any{0, 0, 0}, nil}}),
		"half a bound":  encoded(t, []any{[]any{[]any{0, 0}, nil, []any{1, 1}}}),
		"no parameters": encoded(t, []any{[]any{[]any{0, 0, 0}, nil, []any{1}}}),
		"before":        encoded(t, []any{[]any{[]any{picos(-2), 0, 0}, nil, []any{1, 1}}}),
		"late":          encoded(t, []any{[]any{[]any{cbor.Tag{Number: 2, Content: bytes.Repeat([]byte{255}, 40)}, 0, 0}, nil, []any{1, 1}}}),
	} {
		if _, _, err := eraHistory(raw); !errors.Is(err, ErrUnexpected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSystemStart: mainnet began at 2017-09-23T21:44:51Z, day 266 of its year.
func TestSystemStart(t *testing.T) {
	since := picos(21*3600 + 44*60 + 51)
	if got, err := systemStart(encoded(t, []any{2017, 266, since})); err != nil || got != 1506203091000 {
		t.Errorf("mainnet began at %d, %v", got, err)
	}
	for _, bad := range []any{1, []any{2017, 266}, []any{2017, 0, 0}, []any{2017, 367, 0}, []any{1 << 40, 1, 0}, []any{2017, 1, uint64(math.MaxUint64)}} {
		if got, err := systemStart(encoded(t, bad)); !errors.Is(err, ErrUnexpected) {
			t.Errorf("%v: %d, %v", bad, got, err)
		}
	}
}

func TestTip(t *testing.T) {
	hash := bytes.Repeat([]byte{9}, 32)
	if p, err := readPoint(encoded(t, []any{77, hash})); err != nil || p != (chain.Point{Slot: 77, Hash: chain.BlockHash(hash)}) {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := readPoint(encoded(t, []any{})); err != nil || p != (chain.Point{}) {
		t.Errorf("origin: %v, %v", p, err)
	}
	for _, bad := range []any{7, []any{1}, []any{1, hash[1:]}, []any{"1", hash}, []any{1, hash, 1}} {
		if p, err := readPoint(encoded(t, bad)); !errors.Is(err, ErrUnexpected) || p != (chain.Point{}) {
			t.Errorf("%v: %v, %v", bad, p, err)
		}
	}
	for _, c := range []struct {
		v    any
		want uint64
		ok   bool
	}{{[]any{0}, 0, true}, {[]any{1, 12}, 12, true}, {[]any{1}, 0, false}, {[]any{}, 0, false}, {12, 0, false}, {[]any{2, 1}, 0, false}} {
		if got, err := blockNo(encoded(t, c.v)); got != c.want || (err == nil) != c.ok {
			t.Errorf("%v: %d, %v", c.v, got, err)
		}
	}
}

// conwayParams are 31 parameters as a node gives them: mainnet's where they meet a transaction, and a cost model of three.
func conwayParams() []any {
	ratio := func(n, d uint64) cbor.Tag { return cbor.Tag{Number: 30, Content: []uint64{n, d}} }
	votes := func(n int) (v []any) {
		for range n {
			v = append(v, ratio(1, 2))
		}
		return v
	}
	return []any{
		44, 155381, 90112, 16384, 1100, 2_000_000, 500_000_000, 18, 500, ratio(3, 10), ratio(3, 1000), ratio(1, 5),
		[]any{10, 0},
		170_000_000, 4310,
		map[int][]int{2: {1, 2, 3}},
		[]any{ratio(577, 10000), ratio(721, 10_000_000)},
		[]any{16_500_000, 10_000_000_000},
		[]any{72_000_000, 20_000_000_000},
		5000, 150, 3,
		votes(5), votes(10), 7, 146, 6, 100_000_000_000, 500_000_000, 20, ratio(15, 1),
	}
}

// TestReadParams reads them out of the envelope of a ledger's answer; one of another era's ledger is told apart.
func TestReadParams(t *testing.T) {
	p, err := readParams(encoded(t, []any{conwayParams()}))
	if err != nil {
		t.Fatal(err)
	}
	if p.FeePerByte != 44 || p.FeeFixed != 155381 || p.CoinsPerByte != 4310 || p.ProtocolMajor != 10 || p.MaxTxUnits.Mem != 16_500_000 ||
		p.StepPrice != (chain.Rat{Num: 721, Den: 10_000_000}) || p.RefScriptPrice != (chain.Rat{Num: 15, Den: 1}) || !slices.Equal(p.CostModelV3, []int64{1, 2, 3}) {
		t.Errorf("%+v", p)
	}
	for name, bad := range map[string]any{
		"30 of them":  []any{conwayParams()[:30]},
		"another era": []any{[]any{7, "Dijkstra"}, []any{6, "Conway"}},
		"bare":        conwayParams(),
		"nothing":     []any{},
		"a number":    3,
	} {
		if _, err := readParams(encoded(t, bad)); !errors.Is(err, ErrUnexpected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadUTxOs reads an address's outputs of both forms, in a map of indefinite length as cardano-node writes it.
func TestReadUTxOs(t *testing.T) {
	whose, a := fuzzAddress()
	staked := slices.Concat([]byte{0x00}, a[1:], a[1:])
	ref := func(i int) []byte { return encoded(t, []any{bytes.Repeat([]byte{5}, 32), i}) }
	raw := slices.Concat([]byte{0x81, 0xbf},
		ref(0), encoded(t, map[int]any{0: a, 1: 2_000_000}),
		ref(1), encoded(t, []any{a, 3_000_000}),
		ref(2), encoded(t, map[int]any{0: staked, 1: 4_000_000}),
		[]byte{0xff})
	us, skipped, err := readUTxOs(raw, whose)
	if err != nil || skipped != 0 || len(us) != 2 {
		t.Fatalf("%v, %d skipped, %v", us, skipped, err)
	}
	slices.SortFunc(us, func(a, b chain.UTxO) int { return int(a.Ref.Index) - int(b.Ref.Index) })
	if us[0].Value.Coin != 2_000_000 || us[1].Value.Coin != 3_000_000 || us[1].Ref.Index != 1 || us[1].Ref.Tx[31] != 5 {
		t.Errorf("%+v", us)
	}
	if _, _, err := readUTxOs(encoded(t, []any{[]any{5, "Babbage"}, []any{6, "Conway"}}), whose); !errors.Is(err, ErrUnexpected) {
		t.Errorf("of another era: %v", err)
	}
}

func fuzzAddress() (chain.Address, []byte) {
	a := chain.Enterprise(chain.Network{Magic: 42}, chain.KeyHash{1, 2})
	return a, a.Bytes()
}

// TestQueries: the bytes are those in the golden files of ouroboros-consensus-cardano (Query_HardFork, which asks for the
// history, and Query_Conway_GetCurrentPParams), with the [0, …] of a block query before them.
func TestQueries(t *testing.T) {
	for _, c := range []struct {
		query []any
		want  string
	}{
		{queryEras, "8200" + "82028100"},
		{queryParams, "8200" + "820082068103"},
		{querySystemStart, "8101"},
		{queryHeight, "8102"},
		{queryPoint, "8103"},
		{queryOutput(chain.OutRef{Tx: chain.TxID{1}, Index: 2}), "8200" + "8200" + "8206" + "820f" + "81" + "825820" + "01" + strings.Repeat("00", 31) + "02"},
	} {
		if got := encoded(t, c.query); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%v is %x, want %s", c.query, got, c.want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	whose, a := fuzzAddress()
	for _, v := range []any{
		mainnetEras(nil), mainnetEras([]any{picos(102_384_000), 17_020_800, 237, 0}, 0),
		[]any{2017, 266, picos(78_291)},
		[]any{1, 12},
		[]any{77, make([]byte, 32)},
		[]any{conwayParams()},
		[]any{map[[2]int]any{}},
		[]any{map[string]any{}},
		[]any{a},
		[]any{[]any{7, "Dijkstra"}, []any{6, "Conway"}},
	} {
		f.Add(encoded(f, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if eras, _, err := eraHistory(b); err == nil && len(eras) > maxEras {
			t.Errorf("%d eras", len(eras))
		}
		if start, err := systemStart(b); err == nil && start > 253_402_300_800_000+90_000_000 { // the year 10000, and a day
			t.Errorf("a start at %d", start)
		}
		if p, err := readParams(b); err == nil && p.Validate() != nil {
			t.Errorf("%+v", p)
		}
		readPoint(b)
		blockNo(b)
		readUTxOs(b, whose)
	})
}
