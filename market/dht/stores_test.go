package dht

import (
	"errors"
	"fmt"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tallycompute/tally/market"
)

func TestRecordsBounded(t *testing.T) {
	ctx := t.Context()
	r := newRecords(3)
	for i := range 10 {
		if err := r.Put(ctx, ds.NewKey(fmt.Sprint(i)), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Put(ctx, ds.NewKey("7"), []byte("again")); err != nil {
		t.Fatal(err)
	}
	res, err := r.Query(ctx, query.Query{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := res.Rest()
	if err != nil || len(all) != 3 {
		t.Fatalf("%d records: %v", len(all), err)
	}
	if v, err := r.Get(ctx, ds.NewKey("7")); err != nil || string(v) != "again" {
		t.Fatalf("%q %v", v, err)
	}
	if _, err := r.Get(ctx, ds.NewKey("6")); !errors.Is(err, ds.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	if err := r.Delete(ctx, ds.NewKey("7")); err != nil {
		t.Fatal(err)
	}
	if has, _ := r.Has(ctx, ds.NewKey("7")); has {
		t.Fatal("deleted record is still there")
	}
}

type noAddrs struct{}

func (noAddrs) AddAddrs(peer.ID, []ma.Multiaddr, time.Duration) {}
func (noAddrs) PeerInfo(p peer.ID) peer.AddrInfo                { return peer.AddrInfo{ID: p} }

func TestProvidersBoundedAndExpire(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1000, 0)
	s := newProviders("self", noAddrs{}, Config{Lifetime: time.Minute, MaxRecords: 200, Now: func() time.Time { return now }})
	listed := func(key string) int {
		got, err := s.GetProviders(ctx, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	for i := range 2 * keysPerPeer {
		_ = s.AddProvider(ctx, []byte(fmt.Sprint("greedy", i)), peer.AddrInfo{ID: "greedy"})
	}
	if s.age.Len() != keysPerPeer || listed("greedy0") != 1 {
		t.Fatalf("a peer is listed under %d keys", s.age.Len())
	}
	for i := range 400 {
		_ = s.AddProvider(ctx, []byte("cpu"), peer.AddrInfo{ID: peer.ID(fmt.Sprint("p", i))})
	}
	if s.age.Len() != 200 || listed("cpu") != 200 || len(s.count) != 200 {
		t.Fatalf("%d records, %d peers", s.age.Len(), len(s.count))
	}
	now = now.Add(30 * time.Second)
	_ = s.AddProvider(ctx, []byte("cpu"), peer.AddrInfo{ID: "p399"})
	now = now.Add(31 * time.Second)
	if listed("cpu") != 1 || len(s.count) != 1 {
		t.Fatalf("%d providers after the others' lifetime", listed("cpu"))
	}
}

// Whatever a stranger puts under whatever key, only what the check accepts for the key's peer is valid.
func FuzzValidate(f *testing.F) {
	f.Add("/tally/offer/12D3KooWGzBXWNvHpLALvSh8HJUVeVbQ4LSLwDs8oJqZzxbGxtPZ", []byte("offer"))
	f.Add("/tally/offer/", []byte(""))
	f.Add("/tally/offer/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN", make([]byte, market.MaxOfferBytes+1))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		var asked peer.ID
		v := newValidator(func(p peer.ID, _ []byte, _ time.Time) (uint64, error) { asked = p; return 1, nil }, time.Now)
		if err := v.Validate(key, value); err == nil && (market.OfferKey(asked) != key || len(value) > market.MaxOfferBytes) {
			t.Fatalf("%q with %d bytes passed for %s", key, len(value), asked)
		}
	})
}
