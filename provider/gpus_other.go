//go:build !linux || !cgo

package provider

import "github.com/tallycompute/tally/market"

// GPUs says that this build cannot ask for accelerators.
func GPUs() (gpus []market.GPU, why string, err error) {
	return nil, "CPU only: this build cannot ask NVIDIA's driver", nil
}
