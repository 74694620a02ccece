package probe

// Report is what the program tally-probe prints when asked to "report": what a task can see and do
// in its sandbox. Errors are texts, empty if the attempt worked.
type Report struct {
	UID, GID   int
	Groups     []int
	Hostname   string
	Interfaces []string
	Status     map[string]string // /proc/self/status
	Mounts     []ReportMount
	Tmpfs      map[string]int64 // sizes in bytes by path
	Writable   map[string]bool  // could a file be created there
	Ulimits    []ReportLimit
	Devices    []string
	Cgroup     map[string]string // the limits of its control group, by file name
	VisibleGPU string            // NVIDIA_VISIBLE_DEVICES

	MountError, UnshareError, SetuidError, DialError string
}

// ReportMount is a line of /proc/self/mounts.
type ReportMount struct{ Source, Target, Type, Options string }

// ReportLimit is a hard resource limit of the process.
type ReportLimit struct {
	Name string
	Hard uint64
}
