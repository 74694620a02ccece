//go:build linux && cgo

package provider

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/tallycompute/tally/market"
)

// GPUs asks NVIDIA's driver what accelerators this machine has. No driver means none, and why says so in words.
func GPUs() (gpus []market.GPU, why string, err error) {
	if ret := nvml.Init(); ret != nvml.SUCCESS {
		if ret == nvml.ERROR_LIBRARY_NOT_FOUND || ret == nvml.ERROR_DRIVER_NOT_LOADED {
			return nil, "CPU only: no NVIDIA driver on this machine", nil
		}
		return nil, "", fmt.Errorf("%w: nvml: %s", ErrConfig, nvml.ErrorString(ret))
	}
	defer func() {
		if ret := nvml.Shutdown(); ret != nvml.SUCCESS {
			err = errors.Join(err, fmt.Errorf("%w: nvml: %s", ErrConfig, nvml.ErrorString(ret)))
		}
	}()
	n, ret := nvml.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, "", fmt.Errorf("%w: nvml: count GPUs: %s", ErrConfig, nvml.ErrorString(ret))
	}
	for i := range n {
		g, err := gpu(i)
		if err != nil {
			return nil, "", err
		}
		gpus = append(gpus, g)
	}
	if n == 0 {
		return nil, "CPU only: the NVIDIA driver sees no GPU", nil
	}
	return gpus, fmt.Sprintf("%d GPUs by NVML", n), nil
}

func gpu(i int) (g market.GPU, err error) {
	fail := func(what string, ret nvml.Return) error {
		return fmt.Errorf("%w: nvml: %s of GPU %d: %s", ErrConfig, what, i, nvml.ErrorString(ret))
	}
	d, ret := nvml.DeviceGetHandleByIndex(i)
	if ret != nvml.SUCCESS {
		return g, fail("handle", ret)
	}
	if g.Model, ret = d.GetName(); ret != nvml.SUCCESS {
		return g, fail("name", ret)
	}
	if g.UUID, ret = d.GetUUID(); ret != nvml.SUCCESS {
		return g, fail("UUID", ret)
	}
	m, ret := d.GetMemoryInfo()
	if ret != nvml.SUCCESS {
		return g, fail("memory", ret)
	}
	g.VRAMMiB = m.Total >> 20
	major, minor, ret := d.GetCudaComputeCapability()
	if ret != nvml.SUCCESS {
		return g, fail("compute capability", ret)
	}
	g.Compute = fmt.Sprintf("%d.%d", major, minor)
	return g, nil
}
