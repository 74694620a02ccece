//go:build !linux

package collective

import (
	"net"
	"time"
)

// eager is for systems that let a connection choose how it deals with congestion.
func eager(net.Conn) {}

// roundTrip is not known here.
func roundTrip(net.Conn) time.Duration { return 0 }

// unsent is not known here: connections take turns.
func unsent(net.Conn) int { return 0 }
