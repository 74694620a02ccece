// Package executortest tests runtimes: [Conformance], a suite that every [executor.Runtime] passes,
// and [Engine], an engine in memory that runs Go functions for containers and fails on demand.
package executortest
