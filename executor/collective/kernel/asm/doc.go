// Command asm writes loop_amd64.s and loop_amd64.go, the AVX2 loops of package kernel: run  go generate  there.
package main
