// Package container runs tasks in containers of a Docker-compatible engine, hardened so that the
// program inside may be a stranger's.
//
// Every container has: no network (only its own loopback), no capabilities and no way to gain any,
// the engine's default seccomp filter, a read-only root, user and group 65534, private IPC, PID and
// mount namespaces, an init that reaps, limits on memory (with no swap beyond it), CPU time,
// processes, open files and kept logs, and in-memory /tmp and /dev/shm of fixed size that count as
// memory. Mounted are the task's inputs (read-only), its output directory (read-write), the
// directory with the agent's socket (read-only), and nothing else: a volume that an image declares
// is covered by an empty tmpfs. An engine without seccomp, or without memory, process or CPU limits,
// is refused; what else it lacks is listed by [Runtime.Info].
//
// # The output directory
//
// Outputs outlive the container and may be larger than memory, so they lie on the host's disk, and
// no engine bounds a bind mount. (A tmpfs is emptied when its container ends; a size-limited file
// system per task needs root and a loop device; a project quota needs XFS or a tuned ext4.) Three
// things together bound it:
//
//   - RLIMIT_FSIZE, held by the kernel: no single file grows past the limit.
//   - [Runtime.Wait] measures the directory a few times a second and kills the task that is past
//     its bytes or its number of entries, or whose directory cannot be measured.
//   - It also kills when the disk's free space falls under a reserve, and Start refuses where the
//     promised bytes and the reserve do not fit. This catches what measuring cannot see: files that
//     are deleted but still open. The kill frees them.
//
// A task can overshoot by what it writes between two looks. While no process waits for a task (a
// provider that crashed) only the first bound holds; one that comes back ends what is past the
// others by [Runtime.List], before anything else. Until then a task can fill the disk, so a provider
// that sells to strangers should keep its data directory on a file system of its own.
//
// # After a crash
//
// A container's name is made from owner and task ID, and its labels carry the rest, so the engine
// itself remembers what was started, once, under which limits. [Runtime.Start] finds it again; so
// does [Runtime.List], which also ends what has outlived its timeout or is past its output limits.
package container
