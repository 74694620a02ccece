// Package rules TEMP
package rules

func Install(horizon uint64) {}
