package wallet

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
	"github.com/tallycompute/tally/chain/chaintest"
)

// TestReview: what a transaction of somebody else does to this wallet's money is said exactly, and what is signed after
// that passes the ledger.
func TestReview(t *testing.T) {
	w, bob := testWallet(t), chaintest.NewActor("bob")
	ntx := chain.AssetID{Policy: chain.ScriptHash{7}, Name: "NTX"}
	mine := []chain.UTxO{coin(w, 0, chain.Coins(20_000_000).With(ntx, 500)), coin(w, 1, chain.Coins(7_000_000))}
	has := []chain.UTxO{bob.Coin(0, chain.Coins(9_000_000))}
	tx, err := chain.Balance(chain.Draft{
		Inputs:  []chain.Input{{UTxO: mine[0]}},
		Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(3_000_000).With(ntx, 200)}, {Address: w.Address(), Value: chain.Coins(16_000_000).With(ntx, 300)}},
		Until:   50, Message: []string{"rent"},
	}, has, bob.Address, nil, chaintest.Params(), chaintest.Clock(), w.Network())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := chain.ReadTx([]byte(tx.Envelope().CBORHex))
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Review(foreign, mine)
	if err != nil {
		t.Fatal(err)
	}
	less, more, err := r.Net()
	if err != nil || !less.Equal(chain.Coins(4_000_000).With(ntx, 200)) || !more.Equal(chain.Value{}) {
		t.Errorf("less %v, more %v: %v", less, more, err)
	}
	if len(r.Spends) != 1 || r.Unknown != 1 || len(r.Pays) != 2 || r.Asked || len(r.Keys) != 1 || r.Message[0] != "rent" || r.Scripts != 0 {
		t.Errorf("%+v", r)
	}
	burns := r
	burns.Mint = map[chain.AssetID]int64{ntx: -40}
	if most, err := burns.Most(); err != nil || most.Of(ntx) != 240 || most.Coin != r.Pays[0].Value.Coin+r.Pays[1].Value.Coin+r.Fee {
		t.Errorf("at most %v: %v", most, err)
	}
	if r, err := w.Review(foreign, nil); err != nil || len(r.Spends) != 0 || r.Unknown != 2 || len(r.Keys) != 1 {
		t.Errorf("with nothing known: %+v %v", r, err)
	}
	if _, err := w.Review(foreign, mine[1:]); !errors.Is(err, ErrNotApproved) {
		t.Errorf("nothing of ours in it: %v", err)
	}
	no := errors.New("no")
	if sigs, err := w.SignReviewed(foreign, mine, func(Review) error { return no }); !errors.Is(err, no) || !errors.Is(err, ErrNotApproved) || sigs != nil {
		t.Errorf("signed though refused: %v", err)
	}
	sigs, err := w.SignReviewed(foreign, mine, func(Review) error { return nil })
	if err != nil || len(sigs) != 1 {
		t.Fatalf("%d signatures: %v", len(sigs), err)
	}
	if err := errors.Join(foreign.AddWitness(sigs[0].VKey, sigs[0].Sig), bob.Sign(foreign)); err != nil {
		t.Fatal(err)
	}
	if err := chain.Check(foreign, tx.Resolved(), chaintest.Params(), chaintest.Clock(), w.Network(), 5); err != nil {
		t.Error(err)
	}
}

// TestReviewForeign: what others encode in their own way says the same, is signed as it is, and stays what it is.
func TestReviewForeign(t *testing.T) {
	w, bob := testWallet(t), chaintest.NewActor("bob")
	mine := []chain.UTxO{coin(w, 0, chain.Coins(20_000_000))}
	tx, err := chain.Balance(chain.Draft{
		Inputs: []chain.Input{{UTxO: mine[0]}}, Outputs: []chain.Output{{Address: bob.Address, Value: chain.Coins(3_000_000)}}, Until: 50,
	}, nil, w.Address(), nil, chaintest.Params(), chaintest.Clock(), w.Network())
	if err != nil {
		t.Fatal(err)
	}
	text := tx.Envelope().CBORHex // 84 a6 00 tag set … a0 f5 f6
	text = strings.Replace(text, "84a600d90102", "84bf00", 1)
	text = strings.TrimSuffix(text, "0f00a0f5f6") + "0f1800ffa0f5f6"
	foreign, err := chain.ReadTx([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := w.Review(tx, mine)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.Review(foreign, mine)
	theirs.ID = ours.ID
	if err != nil || fmt.Sprintf("%+v", theirs) != fmt.Sprintf("%+v", ours) {
		t.Errorf("%+v, want %+v: %v", theirs, ours, err)
	}
	sigs, err := w.SignReviewed(foreign, mine, func(Review) error { return nil })
	if err != nil || len(sigs) != 1 {
		t.Fatalf("%d signatures: %v", len(sigs), err)
	}
	if err := foreign.AddWitnesses([]byte(chain.WitnessSet(sigs))); err != nil {
		t.Fatal(err)
	}
	got := foreign.Envelope().CBORHex
	if want := strings.TrimSuffix(text, "a0f5f6") + chain.WitnessSet(sigs) + "f5f6"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, _, err := w.SignChecked(foreign.Body(), func(chain.TxBody) error { return nil }); !errors.Is(err, ErrNotApproved) {
		t.Errorf("signed without a person: %v", err)
	}
}

// body appends fields to the body of a small transaction: the map's head and the last fields are ours to change.
func withField(t testing.TB, w *Wallet, field string) *chain.Tx {
	t.Helper()
	tx, err := chain.Balance(chain.Draft{Inputs: []chain.Input{{UTxO: coin(w, 0, chain.Coins(9_000_000))}}, Until: 50}, nil, w.Address(), nil,
		chaintest.Params(), chaintest.Clock(), w.Network())
	if err != nil {
		t.Fatal(err)
	}
	text := tx.Envelope().CBORHex // 84 a6 00… 01… 02… 03… 08… 0f00 a0 f5 f6
	if !strings.HasPrefix(text, "84a6") || !strings.HasSuffix(text, "0f00a0f5f6") {
		t.Fatalf("unexpected %s", text)
	}
	text = "84a7" + text[4:]
	switch field[:2] {
	case "04", "05":
		at := strings.LastIndex(text, "08010f00")
		text = text[:at] + field + text[at:]
	default:
		text = strings.TrimSuffix(text, "a0f5f6") + field + "a0f5f6"
	}
	got, err := chain.ReadTx([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return got
}

// TestReviewExtras: what Tally never writes is put into words, with the key it needs, or refused.
func TestReviewExtras(t *testing.T) {
	w := testWallet(t)
	stake, _ := w.StakeKey()
	key := stake.String()
	pool := strings.Repeat("ab", 28)
	for _, c := range []struct {
		field, says  string
		keys         int
		gives, takes chain.Lovelace
	}{
		{"05a1581de0" + key + "1a000f4240", "withdraws the rewards of stake key " + key, 2, 1_000_000, 0},
		{"05a1581df0" + key + "05", "withdraws the rewards of script " + key, 1, 5, 0},
		{"04d9010281830" + "28200581c" + key + "581c" + pool, "delegates stake key " + key + " to pool " + pool, 2, 0, 0},
		{"0481830" + "78200581c" + key + "1a001e8480", "registers stake key " + key, 2, 0, 2_000_000},
		{"0481830" + "88200581c" + key + "1a001e8480", "ends the registration of stake key " + key, 2, 2_000_000, 0},
		{"0481830" + "98200581c" + key + "8102", "be represented by nobody (abstain)", 2, 0, 0},
		{"0481850d8200581c" + key + "581c" + pool + "8200581c" + pool + "19ffff", "and delegates it to pool", 2, 0, 65535},
		{"1607", "gives to the treasury", 1, 0, 7},
	} {
		r, err := w.Review(withField(t, w, c.field), nil)
		if err != nil || len(r.Extras) != 1 || len(r.Keys) != c.keys {
			t.Errorf("%s: %+v %v", c.says, r.Extras, err)
			continue
		}
		if most, err := r.Most(); err != nil || most.Coin != r.Fee+c.takes {
			t.Errorf("%s: at most %v leave: %v", c.says, most, err)
		}
		if e := r.Extras[0]; !strings.Contains(e.What, c.says) || e.Gives != c.gives || e.Takes != c.takes {
			t.Errorf("%+v, want %q", e, c.says)
		}
	}
	for _, field := range []string{
		"048182008200581c" + key,                     // the old registration, whose deposit it does not say
		"04818a03581c" + pool,                        // a pool's registration
		"0481830" + "28200581c" + key,                // breaks off
		"05a1581da0" + key + "05",                    // no reward account
		"13a18200581c" + key + "a0",                  // votes
		"0481840" + "78200581c" + key + "1a001e8480", // a field too many is claimed
		"1480",
	} {
		tx, err := chainRead(t, w, field)
		if err == nil {
			_, err = w.Review(tx, nil)
		}
		if !errors.Is(err, ErrNotApproved) && !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// chainRead is withField for what may not even be a transaction.
func chainRead(t *testing.T, w *Wallet, field string) (tx *chain.Tx, err error) {
	t.Helper()
	good := withField(t, w, "1607").Envelope().CBORHex
	if field[:2] == "13" || field[:2] == "14" {
		return chain.ReadTx([]byte(strings.Replace(good, "1607a0", field+"a0", 1)))
	}
	text := strings.Replace(good, "1607a0", "a0", 1)
	at := strings.LastIndex(text, "08010f00")
	return chain.ReadTx([]byte(text[:at] + field + text[at:]))
}

// FuzzReview: whatever a transaction of somebody else is, reviewing it ends, and says nothing without saying an error.
func FuzzReview(f *testing.F) {
	w, err := New(Secret{Mnemonic: words12}, chaintest.Network())
	if err != nil {
		f.Fatal(err)
	}
	stake, _ := w.StakeKey()
	for _, field := range []string{"05a1581de0" + stake.String() + "05", "0481830" + "78200581c" + stake.String() + "1a001e8480", "1607"} {
		f.Add(withField(f, w, field).Envelope().CBORHex)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tx, err := chain.ReadTx([]byte(text))
		if err != nil {
			return
		}
		if r, err := w.Review(tx, nil); err == nil && (len(r.Keys) == 0 || r.ID != tx.ID()) {
			t.Errorf("%+v", r)
		}
	})
}
