package market

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tallycompute/tally/chain"
)

func someMessages(tb testing.TB) []Message {
	req, p := newParty(tb, 1), newParty(tb, 2)
	terms, err := testTerms(tb, req, p, newParty(tb, 3)).Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return []Message{
		testRequest(req),
		Refusal{RefusedBusy, "both slots are taken until 12:00"},
		TermsProposal{ReservationID{1}, terms, []byte{0x84}, ResolvedOf([]chain.UTxO{{Output: chain.Output{Address: req.addr, Value: chain.Coins(5)}}})},
		Witness{ReservationID{1}, chain.TxID{2}, p.vkey(), make([]byte, 64)},
		Release{ReservationID{1}},
		Locked{ReservationID{1}, JobID{2}, chain.TxID{3}},
		Ack{},
		StatusRequest{JobID{4}},
		ResultRequest{JobID{4}},
		JobStatus{JobID{4}, PhaseRunning, "", []ShardStatus{{
			Index: 1, Phase: PhaseRunning, Started: testNow, ExitCode: -1, Message: "line\nline", Metrics: []string{`{"step":1}`}, Traffic: []Traffic{{0, 1, 2}},
		}}},
		Signed{SignedOffer, p.signed(tb)},
		Voucher{JobID{4}, 100, make([]byte, 64)},
		VerdictRequest{JobID{4}, p.id, terms, []byte{}},
		Opinion{chain.OutRef{Tx: chain.TxID{5}, Index: 1}, 6000, 0, 700, make([]byte, 64), "the outputs are the same"},
		LeaveInvitation{JobID{4}, chain.OutRef{Tx: chain.TxID{5}, Index: 1}},
		LeaveWish{chain.OutRef{Tx: chain.TxID{5}, Index: 1}, Hash{6}},
		LeaveProposal{JobID{4}, chain.OutRef{Tx: chain.TxID{5}, Index: 1}, []byte{0x84}},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	for _, m := range someMessages(t) {
		data, err := Encode(m)
		if err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		back, err := Decode(data)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%T: %v\n%+v\n%+v", m, err, back, m)
		}
	}
	if _, err := Encode(frame{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a frame is no message: %v", err)
	}
}

func TestMessagesRefused(t *testing.T) {
	for _, m := range []Message{
		Refusal{"", "x"},
		Refusal{"x", "\x1b[31m"},
		Refusal{"x", strings.Repeat("x", 2000)},
		TermsProposal{},
		TermsProposal{Terms: []byte{1}, Tx: make([]byte, maxTx+1)},
		Witness{VKey: make([]byte, 31), Signature: make([]byte, 64)},
		JobStatus{Phase: "napping"},
		JobStatus{Phase: PhaseDone, Shards: []ShardStatus{{Phase: PhaseDone}, {Phase: PhaseDone}}},
		JobStatus{Phase: PhaseDone, Shards: []ShardStatus{{Phase: PhaseDone, Metrics: make([]string, MaxMetrics+1)}}},
		Signed{"will", []byte{1}},
		LeaveProposal{},
		LeaveProposal{Tx: make([]byte, maxTx+1)},
		Signed{SignedOffer, nil},
		QuoteRequest{},
	} {
		body, err := encMode.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		data, err := encode(frame{kindOf(m), body})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(data); !errors.Is(err, ErrMalformed) || back != nil {
			t.Errorf("%+v: %v", m, err)
		}
		if _, err := Encode(m); !errors.Is(err, ErrMalformed) {
			t.Errorf("encode %+v: %v", m, err)
		}
	}
	if _, err := Decode(make([]byte, MaxMessageBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

func TestOpenQuote(t *testing.T) {
	req, p := newParty(t, 1), newParty(t, 2)
	r, o := testRequest(req), p.offer()
	sign := func(change func(*Quote)) []byte {
		q := testQuote(t, p, req)
		change(&q)
		data, err := SignQuote(q, p.key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	q, err := OpenQuote(sign(func(*Quote) {}), testNow, r, o)
	if err != nil {
		t.Fatal(err)
	}
	if v := q.BondValue.Value(); v.Coin != 5_000_000 || !reflect.DeepEqual(FundsOf(v), q.BondValue) {
		t.Errorf("bond value %+v", v)
	}
	for _, c := range []struct {
		what   string
		change func(*Quote)
		now    chain.Time
		want   error
	}{
		{"cheaper is fine", func(q *Quote) { q.PriceUNTX-- }, testNow, nil},
		{"dearer", func(q *Quote) { q.PriceUNTX++ }, testNow, ErrMalformed},
		{"other rates", func(q *Quote) { q.PenaltyBps = 0 }, testNow, ErrMalformed},
		{"expired", func(*Quote) {}, Minute.After(testNow), ErrExpired},
		{"early", func(*Quote) {}, testNow - 200_000, ErrNotYetValid},
		{"other request", func(q *Quote) { q.Request[0]++ }, testNow, ErrOtherRequest},
		{"other requester", func(q *Quote) { q.Requester = p.id }, testNow, ErrOtherPeer},
		{"other network", func(q *Quote) { q.Magic = 2 }, testNow, ErrOtherNetwork},
		{"other payment", func(q *Quote) { q.Payment, q.BondAddress, q.PaymentKey = req.addr, req.addr, req.vkey() }, testNow, ErrMalformed},
	} {
		if _, err := OpenQuote(sign(c.change), c.now, r, o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	bad := testQuote(t, p, req)
	bad.BondAddress = req.addr
	if _, err := SignQuote(bad, p.key); !errors.Is(err, ErrSignature) {
		t.Errorf("bond of another key: %v", err)
	}
	if _, err := SignQuote(testQuote(t, p, req), req.key); !errors.Is(err, ErrOtherPeer) {
		t.Errorf("signed by another: %v", err)
	}
}

func TestResultAndReceipt(t *testing.T) {
	req, a, b := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	terms := testTerms(t, req, a, b)
	data, err := SignResult(testResult(t, terms, a), a.key)
	if err != nil {
		t.Fatal(err)
	}
	res, err := OpenResult(data, JobID{8}, terms, a.id)
	if err != nil || !res.OK() {
		t.Fatalf("%v, %+v", err, res)
	}
	resB := testResult(t, terms, b)
	if err := CheckTraffic([]Result{res, resB}); err != nil {
		t.Error(err)
	}
	resB.Shards[0].Traffic[0].Received++
	if err := CheckTraffic([]Result{res, resB}); !errors.Is(err, ErrMalformed) {
		t.Errorf("one end counts more: %v", err)
	}
	if err := CheckTraffic([]Result{resB}); err != nil {
		t.Errorf("the other end is not here: %v", err)
	}
	other := terms
	other.Nonce[0]++
	for what, err := range map[string]error{
		"other job":   second(OpenResult(data, JobID{9}, terms, a.id)),
		"other terms": second(OpenResult(data, JobID{8}, other, a.id)),
	} {
		if !errors.Is(err, ErrOtherRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := OpenResult(data, JobID{8}, terms, b.id); !errors.Is(err, ErrOtherPeer) {
		t.Errorf("other provider: %v", err)
	}
	foreign := testResult(t, terms, a)
	foreign.Shards[0].Index = 1
	if data, err := SignResult(foreign, a.key); err != nil {
		t.Error(err)
	} else if _, err := OpenResult(data, JobID{8}, terms, a.id); !errors.Is(err, ErrMalformed) {
		t.Errorf("another's shard: %v", err)
	}
	forged := res
	forged.Root[0]++
	if _, err := seal(domainResult, forged, a.key, a.id); !errors.Is(err, ErrMalformed) {
		t.Errorf("root that does not fit: %v", err)
	}

	rec := Receipt{Result: data, Requester: req.id, At: testNow, Accepted: true, PriceUNTX: 6000}
	signed, err := SignReceipt(rec, req.key)
	if err != nil {
		t.Fatal(err)
	}
	gotRec, gotRes, err := OpenReceipt(signed)
	if err != nil || gotRec.PriceUNTX != 6000 || !reflect.DeepEqual(gotRes, res) {
		t.Errorf("%v, %+v", err, gotRec)
	}
	rec.Accepted = false
	if _, err := SignReceipt(rec, req.key); !errors.Is(err, ErrMalformed) {
		t.Errorf("refused but paid: %v", err)
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 4
		if _, _, err := OpenReceipt(changed); err == nil {
			t.Fatalf("byte %d changed, and nobody noticed", i)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Every leaf counts, in its place.
func TestMerkleRoot(t *testing.T) {
	seen := map[Hash]bool{}
	shards := []ShardResult{}
	for i := range 9 {
		root, err := MerkleRoot(shards)
		if err != nil || seen[root] {
			t.Fatalf("%d shards: %v", i, err)
		}
		seen[root] = true
		for j := range shards {
			shards[j].ExitCode++
			if root, err := MerkleRoot(shards); err != nil || seen[root] {
				t.Errorf("shard %d of %d does not count: %v", j, i, err)
			}
			shards[j].ExitCode--
		}
		shards = append(shards, ShardResult{Index: uint32(i)})
	}
}

// What Decode accepts, Encode writes the same.
func FuzzDecode(f *testing.F) {
	for _, m := range someMessages(f) {
		data, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		if again, err := Encode(m); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x encodes to %x, %v", data, again, err)
		}
	})
}

// No bytes make a signed document's reader panic.
func FuzzOpen(f *testing.F) {
	req, a, b := newParty(f, 1), newParty(f, 2), newParty(f, 3)
	terms := testTerms(f, req, a, b)
	res, err := SignResult(testResult(f, terms, a), a.key)
	if err != nil {
		f.Fatal(err)
	}
	rec, err := SignReceipt(Receipt{Result: res, Requester: req.id, At: testNow}, req.key)
	if err != nil {
		f.Fatal(err)
	}
	quote, err := SignQuote(testQuote(f, a, req), a.key)
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range [][]byte{res, rec, quote} {
		f.Add(d)
	}
	r, o := testRequest(req), a.offer()
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := OpenResult(data, JobID{8}, terms, a.id); err == nil && got.Provider != a.id {
			t.Errorf("result of %s", got.Provider)
		}
		if q, err := OpenQuote(data, testNow, r, o); err == nil && q.PriceUNTX > 6000 {
			t.Errorf("quote of %d", q.PriceUNTX)
		}
		if _, res, err := OpenReceipt(data); err == nil && res.Validate() != nil {
			t.Error("receipt over an invalid result")
		}
	})
}
