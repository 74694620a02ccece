// Package p2p builds the libp2p host of a node: its Ed25519 identity, transports (TLS before Noise, TCP with a tuned yamux,
// optionally QUIC), what helps it through a NAT, and limits on what strangers may make it spend.
package p2p
