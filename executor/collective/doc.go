// Package collective sums, spreads and gathers buffers between the shards of
// one job over libp2p streams, and serves those operations to a container
// through a unix socket and a shared arena.
//
// A [Service] sits on one libp2p host; each job's [Group] is one agreed [View]
// (job, epoch, ordered peers). A [Gate] is the container's side of one rank.
//
// # Between agents: protocol /tally/collective/1
//
// Every pair of ranks shares two streams, both opened by the lower peer ID: a
// data stream and a control stream. libp2p has authenticated the peer; the
// hello names the group. All integers are little endian.
//
// Hello, 96 bytes, dialer to acceptor:
//
//	0  magic "TLYC"   4  version u16 = 1   6  kind u8 (1 data, 2 control)   7  zero
//	8  epoch u64     16  from rank u32    20  to rank u32   24  size u32   28  zero
//	32 job [32]byte  64  view hash [32]byte = sha256("tally/collective/view/1", job, epoch, peers)
//
// Welcome, 8 bytes, acceptor to dialer:
//
//	0  magic "TLYC"   4  status u8 (0 ready, 1 absent, 2 another view)   5  zero
//
// "Absent" is said to a stranger as well as to a peer that comes too early: the
// dialer asks again until its own time to join is over.
//
// Data stream: each operation starts with a header, then carries payload whose
// length both ends know. Header, 32 bytes:
//
//	0  magic "TLYO"   4  operation u8   5  reduce u8   6  root u16
//	8  sequence u64  16  epoch u64     24  bytes u64
//
// Operations: 1 allreduce, 2 broadcast, 3 allgather, 4 barrier, 5 close.
// Reduce: 0 sum, 1 mean, 2 min, 3 max. A rank sends the header at least to the
// next rank of the ring and checks the one from the previous rank before it
// uses a byte, so that ranks that disagree find out.
//
// Up to 16 KiB an operation is a direct exchange: every rank sends header and
// payload to every other and folds them in rank order. Above, allreduce is a
// reduce-scatter and an allgather round the ring in 256 KiB segments, allgather
// the second half of that, and broadcast a chain from the root. Every byte of a
// ring result is computed by one rank and copied by the others: results are
// bit-identical everywhere.
//
// Control stream: 16-byte frames, an abort followed by its text:
//
//	0  type u8 (1 heartbeat, 2 abort, 3 bye)   1  cause u8   2  text length u16 (≤ 1024)
//	4  rank u32 (the rank an abort blames)     8  sequence u64 (last operation entered)
//
// Cause: 0 the rank itself failed, 1 the blamed rank went away, 2 the blamed rank
// let the others wait too long. It lets every rank tell a program that failed from
// a machine that can be waited for.
//
// Heartbeats go out each second. A peer from which nothing came for
// [Options.Silence] is lost; a wait in which no byte moved for
// [Options.Progress] is an error. The first error ends the group on every rank:
// it is told to all, and every later call returns it.
//
// # Between agent and container: gate version 1
//
// One SOCK_STREAM unix socket, one client. Client hello, 16 bytes: magic "TLYG",
// version u16, ten zero bytes. Server hello, 64 bytes and the job's name, with
// the arena's descriptor (a sealed memfd) as SCM_RIGHTS on its first byte:
//
//	0  magic "TLYG"       4  version u16        6  name length u16 (≤ 255)
//	8  rank u32          12  world size u32    16  local rank u32   20  local size u32
//	24 arena bytes u64   32  commands in flight u32                36  alignment u32
//	40 zero
//
// Command, 32 bytes; reply, 16 bytes, matched by sequence:
//
//	0  op u8   1  reduce u8   2  root u16   4  sequence u32   8  source u64   16  destination u64   24  bytes u64
//	0  sequence u32   4  status u32   8  value u64
//
// Ops are those above, and 0 (nothing: a round trip) and 5 (goodbye). Source and
// destination are offsets into the arena, multiples of 64. Status 0 is done and
// value the microseconds it took; 1 a refused command (the group goes on), 2 a
// failed group, 3 a malformed command (the socket closes): value is then the
// length of the text that follows (≤ 1024). A container that disappears without
// a goodbye aborts the group.
//
// # History
//
//   - 2026-11: version 1 of both.
package collective
