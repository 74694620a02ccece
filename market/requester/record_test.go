package requester

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/market"
)

// TestRecordOfUnaskedProvider: a process may end before a provider was asked, and the next must read what it left.
func TestRecordOfUnaskedProvider(t *testing.T) {
	id, err := peer.Decode("12D3KooWEn7i25GeL2BDjfGZJUA7mzNPyaYvFCatJpLVuc8aDsuR")
	if err != nil {
		t.Fatal(err)
	}
	want := lotRecord{Offer: market.Offer{Peer: id}, Shards: []uint32{0}, PriceUNTX: 7}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got lotRecord
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got.Request, want.Request) || got.Offer.Peer != id {
		t.Errorf("%+v, %v", got, err)
	}
}
