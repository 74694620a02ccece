//go:build unix

package bundle

import "syscall"

// openFlags keep an open from waiting for the other end of a pipe, should one take a regular file's place.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW
