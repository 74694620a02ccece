// Package node runs one block-producing Cardano node (dingo) on a directory that survives restarts: genesis,
// recorded settings, pool keys, the unix socket, and the moment at which the node is ready to serve.
package node
