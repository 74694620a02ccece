// Package testnet is the whole market on one machine: nodes, a faucet, providers and requesters, and faults on demand.
package testnet
