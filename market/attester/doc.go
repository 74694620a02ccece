// Package attester is disputes off chain: the attester, who runs a disputed lot's shards again and signs what its provider
// is to get, and the panel, with which a party asks a job's attesters until enough of them have said the same.
//
// An attester answers the lot's own parties only, and only about lots that are disputed in the chain as it sees it. It
// starts from hashes that are there: the terms (in the job's id), the result's root, and through them program, inputs,
// image and outputs. What cannot be had counts against who should serve it. It signs (all of the price) or (nothing, and
// the slash that the terms name), so that attesters who see the same say the same:
//
//	the provider's result or outputs cannot be had   │ nothing
//	program or inputs cannot be had from anyone      │ all
//	run again, a shard ends as its result says       │ all, if every shard does
//	run twice, it ends in two other ways             │ all: nobody can tell what is right
//	run twice, it ends in one other way              │ nothing
//
// What fails on the attester's own machine is no verdict: it tries again, and says nothing meanwhile.
package attester
