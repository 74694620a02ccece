package market

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Task is what a provider runs for each shard of a lot, in the words both sides sign.
type Task struct {
	Image      ImageDigest       `json:"image"`
	Command    string            `json:"command"` // for /bin/sh -c, started in WorkDir
	Envs       map[string]string `json:"envs"`
	Mounts     []string          `json:"mounts"`           // where inputs appear, each read-only; content: Terms.Program and ShardTerms.Input
	ShardInput string            `json:"shard_input"`      // the mount that holds the shard's own part; "": none
	Shards     uint32            `json:"shards"`           // how many shards the whole job has, spares among them
	Collective bool              `json:"collective"`       // whether its shards sum over each other
	Least      uint32            `json:"least,omitempty"`  // of a collective: with how many shards it goes on where others are lost; 0: all
	Spares     uint32            `json:"spares,omitempty"` // of a collective that goes on: so many shards, the last, wait for one that is lost
	Resources  Resources         `json:"resources"`        // of one shard
}

// standardEnv are the names that every shard gets and no job may set: torchrun's, and ours.
var standardEnv = []string{
	"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "NUM_NODES", "MASTER_ADDR", "MASTER_PORT",
	"SHARD_INDEX", "SHARD_COUNT", "SHARD_INPUT", "CHECKPOINT_DIR", "RESUME_FROM", "OUTPUT_DIR",
}

func reservedEnv(name string) bool {
	for _, s := range standardEnv {
		if s == name {
			return true
		}
	}
	return strings.HasPrefix(name, "TALLY_")
}

// ShardEnv is the environment of one shard: the job's variables and the standard names. Each shard is one process on
// a node of its own, so its rank is its index and LOCAL_RANK is 0; a spare's is none that a member has. RESUME_FROM is left to whoever has a checkpoint.
func ShardEnv(t Task, shard uint32) (map[string]string, error) {
	if shard >= t.Shards {
		return nil, fmt.Errorf("shard %d of %d: %w", shard, t.Shards, ErrMalformed)
	}
	env := maps.Clone(t.Envs)
	if env == nil {
		env = map[string]string{}
	}
	for name := range env {
		if reservedEnv(name) {
			return nil, fmt.Errorf("environment variable %s is set for every shard: %w", name, ErrMalformed)
		}
	}
	index, count := strconv.FormatUint(uint64(shard), 10), strconv.FormatUint(uint64(t.Members()), 10)
	maps.Copy(env, map[string]string{
		"RANK": index, "WORLD_SIZE": count, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
		"NODE_RANK": index, "NUM_NODES": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
		"SHARD_INDEX": index, "SHARD_COUNT": count, "SHARD_INPUT": t.ShardInput,
		"CHECKPOINT_DIR": CheckpointDir, "OUTPUT_DIR": OutputDir,
	})
	return env, nil
}
