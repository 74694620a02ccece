package market

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tallycompute/tally/chain"
)

// Result is what a provider signs for its lot when its shards have ended, well or badly.
type Result struct {
	Version  uint8         `json:"version"`
	Job      JobID         `json:"job"`
	Terms    Hash          `json:"terms"`
	Provider peer.ID       `json:"provider"`
	Shards   []ShardResult `json:"shards"` // ascending by index
	Root     Hash          `json:"root"`   // MerkleRoot of Shards: what a Commit puts on chain
}

// ShardResult is how one shard ended.
type ShardResult struct {
	Index      uint32     `json:"index"`
	ExitCode   int32      `json:"exit_code"`
	Message    string     `json:"message"` // why, if it failed
	Started    chain.Time `json:"started"`
	Finished   chain.Time `json:"finished"`
	Output     Hash       `json:"output"` // root of the bundle of its outputs; zero: none
	Traffic    []Traffic  `json:"traffic"`
	ParamsStep uint64     `json:"params_step"`      // of the last parameter hash that the program reported
	Params     Hash       `json:"params"`           // zero: none
	Circle     *Circle    `json:"circle,omitempty"` // of a job with spares: who was there at its end; nil: this shard was not
}

func (r Result) limit() int { return 512 << 10 }

// MerkleRoot is the root of the tree over shards: leaf = blake2b-256(00 ‖ canonical bytes of the ShardResult),
// node = blake2b-256(01 ‖ left ‖ right), split as in RFC 9162, section 2.1.1. Of no shards it is HashOf(nil).
func MerkleRoot(shards []ShardResult) (Hash, error) {
	leaves := make([]Hash, len(shards))
	for i, s := range shards {
		b, err := encMode.Marshal(s)
		if err != nil {
			return Hash{}, fmt.Errorf("encode shard %d's result: %w", s.Index, err)
		}
		leaves[i] = HashOf(append([]byte{0}, b...))
	}
	return merkle(leaves), nil
}

func merkle(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return HashOf(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	l, r := merkle(leaves[:k]), merkle(leaves[k:])
	return HashOf(append(append([]byte{1}, l[:]...), r[:]...))
}

// OK says whether every shard ended with exit code 0.
func (r Result) OK() bool {
	for _, s := range r.Shards {
		if s.ExitCode != 0 {
			return false
		}
	}
	return len(r.Shards) > 0
}

// Validate checks r's form and its root.
func (r Result) Validate() error {
	if r.Version != 1 || len(r.Shards) == 0 || len(r.Shards) > MaxShards {
		return malformed("result: version %d, %d shards", r.Version, len(r.Shards))
	}
	if _, err := peerKey(r.Provider); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	for i, s := range r.Shards {
		switch {
		case i > 0 && r.Shards[i-1].Index >= s.Index:
			return malformed("result: shard %d out of order", s.Index)
		case s.Started < 0 || s.Finished < s.Started || len(s.Message) > MaxMessage || len(s.Traffic) > maxNeighbours:
			return malformed("result of shard %d: from %d to %d", s.Index, s.Started, s.Finished)
		}
		if s.Circle != nil {
			if err := s.Circle.validate(); err != nil {
				return fmt.Errorf("result of shard %d: %w", s.Index, err)
			}
		}
	}
	if root, err := MerkleRoot(r.Shards); err != nil || root != r.Root {
		return malformed("result: root %s, its shards give %s", r.Root, root)
	}
	return nil
}

// SignResult fills in r's root and signs it with the provider's key.
func SignResult(r Result, key crypto.PrivKey) ([]byte, error) {
	root, err := MerkleRoot(r.Shards)
	if err != nil {
		return nil, err
	}
	r.Version, r.Root = 1, root
	return seal(domainResult, r, key, r.Provider)
}

// OpenResult reads a signed result and checks that it is that provider's, for that job and those terms, and about
// exactly the shards of its lot. Errors: ErrTooLarge, ErrMalformed, ErrSignature, ErrOtherPeer, ErrOtherRequest.
func OpenResult(data []byte, job JobID, t Terms, from peer.ID) (Result, error) {
	r, err := ReadResult(data)
	if err != nil {
		return Result{}, err
	}
	hash, err := t.Hash()
	if err != nil {
		return Result{}, err
	}
	lot, ok := t.LotOf(from)
	switch {
	case r.Provider != from || !ok:
		return Result{}, fmt.Errorf("result of %s, expected %s: %w", r.Provider, from, ErrOtherPeer)
	case r.Job != job || r.Terms != hash:
		return Result{}, fmt.Errorf("result for job %s under terms %s: %w", r.Job, r.Terms, ErrOtherRequest)
	case len(r.Shards) != len(lot.Shards):
		return Result{}, malformed("result of %s: %d shards, its lot has %d", from, len(r.Shards), len(lot.Shards))
	}
	for i, s := range r.Shards {
		if s.Index != lot.Shards[i].Index {
			return Result{}, malformed("result of %s: shard %d is not in its lot", from, s.Index)
		}
	}
	return r, nil
}

// ReadResult reads a result and checks its signature, and nothing about what it answers.
func ReadResult(data []byte) (Result, error) {
	return unseal(domainResult, data, func(r Result) peer.ID { return r.Provider })
}

// CheckTraffic compares what both ends of every link say they exchanged, given the results of all shards at hand.
// A difference between two shards at hand is ErrMalformed, naming the link.
func CheckTraffic(results []Result) error {
	type link struct{ from, to uint32 }
	sent, received := map[link]uint64{}, map[link]uint64{}
	here := map[uint32]bool{}
	for _, r := range results {
		for _, s := range r.Shards {
			here[s.Index] = true
			for _, t := range s.Traffic {
				sent[link{s.Index, t.Shard}] += t.Sent
				received[link{t.Shard, s.Index}] += t.Received
			}
		}
	}
	for _, side := range []map[link]uint64{sent, received} {
		for l := range side {
			if here[l.from] && here[l.to] && sent[l] != received[l] {
				return malformed("shard %d says it sent %d bytes to shard %d, which says it received %d", l.from, sent[l], l.to, received[l])
			}
		}
	}
	return nil
}
