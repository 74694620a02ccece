package dht

import (
	"container/list"
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// records is a datastore in memory that holds a bounded number of records: when it is full, the one written longest ago goes.
// Offers are signed but identities are free, so without a bound strangers could fill the memory.
type records struct {
	max int

	mu    sync.Mutex
	byKey map[ds.Key]*list.Element
	age   *list.List // of rec, oldest first
}

type rec struct {
	key   ds.Key
	value []byte
}

var _ ds.Batching = (*records)(nil)

func newRecords(limit int) *records {
	return &records{max: limit, byKey: map[ds.Key]*list.Element{}, age: list.New()}
}

// Put implements datastore.Write.
func (r *records) Put(_ context.Context, key ds.Key, value []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(key)
	if len(r.byKey) >= r.max {
		r.remove(r.age.Front().Value.(rec).key)
	}
	r.byKey[key] = r.age.PushBack(rec{key, value})
	return nil
}

// Delete implements datastore.Write.
func (r *records) Delete(_ context.Context, key ds.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(key)
	return nil
}

func (r *records) remove(key ds.Key) {
	if e, ok := r.byKey[key]; ok {
		r.age.Remove(e)
		delete(r.byKey, key)
	}
}

// Get implements datastore.Read.
func (r *records) Get(_ context.Context, key ds.Key) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.byKey[key]; ok {
		return e.Value.(rec).value, nil
	}
	return nil, ds.ErrNotFound
}

// Has implements datastore.Read.
func (r *records) Has(ctx context.Context, key ds.Key) (bool, error) {
	return ds.GetBackedHas(ctx, r, key)
}

// GetSize implements datastore.Read.
func (r *records) GetSize(ctx context.Context, key ds.Key) (int, error) {
	return ds.GetBackedSize(ctx, r, key)
}

// Query implements datastore.Read.
func (r *records) Query(_ context.Context, q query.Query) (query.Results, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]query.Entry, 0, len(r.byKey))
	for key, e := range r.byKey {
		value := e.Value.(rec).value
		entry := query.Entry{Key: key.String(), Size: len(value)}
		if !q.KeysOnly {
			entry.Value = value
		}
		entries = append(entries, entry)
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

// Batch implements datastore.Batching.
func (r *records) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }

// Sync implements datastore.Datastore.
func (r *records) Sync(context.Context, ds.Key) error { return nil }

// Close implements datastore.Datastore.
func (r *records) Close() error { return nil }
