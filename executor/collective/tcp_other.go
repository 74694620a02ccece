//go:build !linux

package collective

import "net"

// eager is for systems that let a connection choose how it deals with congestion.
func eager(net.Conn) {}

// unsent is not known here: connections take turns.
func unsent(net.Conn) int { return 0 }
