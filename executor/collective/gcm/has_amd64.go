package gcm

import "golang.org/x/sys/cpu"

// hasLoops: the instructions that the loops need.
var hasLoops = cpu.X86.HasAES && cpu.X86.HasAVX2 && cpu.X86.HasAVX512VAES && cpu.X86.HasAVX512VPCLMULQDQ
