// Package node talks to one Cardano node over Ouroboros node-to-client: it asks for parameters, the clock and
// unspent outputs, submits transactions and follows the chain. It keeps no state of its own beyond a connection.
//
// Source of the mini-protocols: "The Shelley Networking Protocol", network specification of ouroboros-network.
package node
