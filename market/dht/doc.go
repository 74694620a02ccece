// Package dht publishes and finds signed offers in a Kademlia DHT of the market's own (protocol /tally/kad/1.0.0).
//
// A provider's offer is a value of at most market.MaxOfferBytes under market.OfferKey, stored only where it passes the consumer's
// Check; of several, the one with the highest sequence number is kept. Provider records under capability keys (a GPU model, a
// memory tier, a region) name the peers to ask about. Such records are unsigned and never checked by those who hold them: Find
// takes them as hints, fetches each peer's offer, checks it, and says why it dropped the others.
package dht
