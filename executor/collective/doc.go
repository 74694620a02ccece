// Package collective sums, spreads and gathers buffers between the shards of
// one job over libp2p streams, and serves those operations to a container
// through a unix socket and a shared arena.
//
// A [Service] sits on one libp2p host; each job's [Group] is one agreed [View]
// (job, epoch, ordered peers). A [Gate] is the container's side of one rank.
//
// Operations without a name are matched by their order on each rank, and several may be in flight: the k-th runs in
// lane k mod 2. Operations by name are matched by it, in whatever order ranks submit them: a rank tells rank 0 that it
// has come to one; when all have, with the same operation, rank 0 tells them to go, and the k-th that goes runs in lane
// 2 + k mod 2. Send and Receive have the last lane, and an order for each pair and direction. A [Group.Part] is a process
// group: some ranks, with streams of their own.
//
// A group ends with its first lost member. A [Circle] goes on with a majority: see there, and [MeetProtocol].
//
// # Between agents: protocol /tally/collective/4
//
// Every pair of ranks shares six streams, all opened by the lower peer ID: one for control, and one for each of five
// lanes. libp2p has authenticated the peer; the hello names the group. All integers are little endian.
//
// Hello, 96 bytes, dialer to acceptor:
//
//	0  magic "TLYC"   4  version u16 = 4   6  kind u8 (2 control, 16 + lane)   7  zero
//	8  epoch u64     16  from rank u32    20  to rank u32   24  size u32   28  zero
//	32 job [32]byte  64  view hash [32]byte = sha256("tally/collective/view/1", job, epoch, peers)
//
// A process group's job is sha256("tally/collective/part/1", job, ranks, epoch), u64 each, and its epoch the number of
// those of the same ranks made before it.
//
// Welcome, 8 bytes, acceptor to dialer:
//
//	0  magic "TLYC"   4  status u8 (0 ready, 1 absent, 2 another view)   5  zero   6  port u16
//
// "Absent" is said to a stranger as well as to a peer that comes too early: the
// dialer asks again until its own time to join is over.
//
// The port is the acceptor's for straight lanes, or 0: a dialer that has one too, and is not connected through a relay,
// opens its lanes there, at the address that libp2p is connected to: TLS 1.3 with libp2p's certificates and ALPN
// "tally/collective/3" shows who is there; then both go on in records. A record is a u24,
// the 1 to 65536 bytes that it seals, a u8, and those bytes and a tag of 16 by AES-128-GCM (RFC 5116), with u24 and u8 as
// associated data and the number of records before it in this direction, u64 and four zeros, as nonce. The key of each 2^20 records is the
// handshake's exporter (RFC 8446, section 7.5) for label "EXPORTER-tally-collective-lane" and context u8 1 for what the
// dialer seals, 0 for the acceptor, and u64 the number of keys before. Over a line with a round trip of 4 ms or more a lane
// is a bundle of up to 8 such connections: a record's u8 says over which one the next record comes, first is the first. The dialer's first record on each says which one
// it is: magic "TLYC", u8 place, u8 how many, u16 zero, 16 random bytes that the bundle's have in common. The lane's hello
// and welcome come next. Where that port is not reached in 3 seconds, the
// lane is a libp2p stream.
//
// Lane: each operation starts with a header, then carries payload whose
// length both ends know. Header, 48 bytes:
//
//	0  magic "TLYO"   4  operation u8   5  reduce u8   6  type u8   7  wire format u8
//	8  sequence u64  16  epoch u64     24  bytes u64  32  digest u64 of name, shape and parts   40  root u16  42  share u16  44  zero
//
// Operations: 1 allreduce, 2 broadcast, 3 allgather, 4 barrier, 5 close, 6 reducescatter, 7 alltoall, 8 send, 12 survey.
// Reduce: 0 sum, 1 mean, 2 min, 3 max, 4 prod. Type: 0 f32, 1 f64, 2 f16, 3 bf16, 4 i32, 5 i64, 6 u8. Wire format:
// 0 the type's own, 1 bf16, 2 int8, 3 the largest values, of which share says how many of 65536. The digest is the first 8 bytes of sha256 over name, dimensions and the parts of an
// allgather or reducescatter, u64 each, or 0 where there are none. A rank sends the header at least to the
// next rank of the ring and checks the one from the previous rank before it
// uses a byte, so that ranks that disagree find out.
//
// Up to 16 KiB an operation is a direct exchange: every rank sends header and payload to every other and folds them in
// rank order; or, where the plan has all on one machine, every rank to rank 0, which sends header and result to all: 2(n-1)
// messages for the cores they share, instead of n(n-1), and bit-identical. On one machine that goes for an allreduce as it
// is, an allgather and a broadcast of up to 64 KiB, too. Above, allreduce is a
// reduce-scatter and an allgather round the ring in segments, allgather
// the second half of that, and broadcast a chain from the root. Reducescatter and alltoall are sent directly, at step d
// to the rank d further on, segment by segment. As bf16, what travels round the ring is rounded at each rank. As int8,
// each rank rounds what it sends directly to the rank that folds a part, and that one rounds the sum: 1024 values share
// a float32 scale, which precedes them. Of the largest values each rank's travel round the ring as in an allgather: u32 index
// and float32 each, by index, and every rank adds them in rank order. Every byte of a result is computed by one rank and copied by the others, or its
// NaNs are settled: results are bit-identical everywhere, and the same from run to run of one view and layout.
//
// Three ranks and more begin with a survey, whose phases are headers with sequences from 1, and 4 bytes a rank or, in
// the first, 8. (1) The digest of what this rank knows of the lines between them, or 0: if all say the same, 2 and 3
// are left out. Each asks each other on lane 0, and is answered on lane 1: a u32 and so many bytes, none for an echo,
// all ones when that was all; the answer is a u64 of the nanoseconds in which they came. (2) The rank's round trips in
// microseconds, u32 each; less than 4 ms to a rank on its machine, however busy that is. If one is more, and it takes no more than 24 phases, they then ask with trains: of 64
// KiB, and four times as many each time, up to 4 MiB. Places are ranks with less than 4 ms between them, directly or by
// others. First, at step d, each rank asks the one d further on in its place; then at step d, for each of the first two
// ranks of a place and each of those of the place d further on, the former asks the latter. Each begins with a phase of
// nothing. (3) KiB a second that came from each rank, or 0. (4) From rank 0, the plan: the ranks in the order of the
// ring, u16 each, rank 0 first, with the highest bit set where all are on one machine, which is where rank 0 reaches them at
// the address it has itself; then again by teams, with the highest bit set where one begins, or zeros. (5) Nothing.
// The digests from the first phase after 2 on are the first 8 bytes of sha256 over what was gathered before, so that
// ranks that were told different things find out. What goes round goes in the plan's order. In teams, an allreduce as
// it is or as bf16 is folded in up to 4 blocks up each team's chain, round the ring of those that begin one, and comes
// down.
//
// Control stream: 16-byte frames, a heartbeat, abort, ready or go followed by its text:
//
//	0  type u8 (1 heartbeat, 2 abort, 3 bye, 4 ready, 5 go, 6 had)   1  cause u8   2  text length u16 (≤ 1024)
//	4  rank u32 (the rank an abort blames, or the sender)     8  sequence u64
//
// A heartbeat's sequence is the last operation without a name that was entered, and its text the headers of those under way:
// ranks that are in different ones, and do not read of each other, find out. A go's sequence is the number of goes. Ready's text
// is the name, a zero byte and what the operation is, for people and for comparison; go's the name. In a circle, had's rank
// is a track (0 operations without a name, 1 by name) and its sequence the operation up to which the sender has all results.
//
// Cause: 0 the rank itself failed, 1 the blamed rank went away, 2 the blamed rank let the others wait too long, 3 the
// members of a circle meet and nobody is to blame. It lets every rank tell a program that failed from a machine that can be
// waited for.
//
// Heartbeats go out each second. A peer from which nothing came for
// [Options.Silence] is lost; a wait in which no byte moved for
// [Options.Progress], and a name that some rank has not come to by then, is an error. The first error ends the group on
// every rank: it is told to all, and every later call returns it.
//
// # Between agent and container: gate version 3
//
// One SOCK_STREAM unix socket, one client. Client hello, 16 bytes: magic "TLYG",
// version u16, ten zero bytes. Server hello, 64 bytes and the job's name, with
// the arena's descriptor (a sealed memfd) as SCM_RIGHTS on its first byte:
//
//	0  magic "TLYG"       4  version u16        6  name length u16 (≤ 255)
//	8  rank u32          12  world size u32    16  local rank u32   20  local size u32
//	24 arena bytes u64   32  commands in flight u32                36  alignment u32
//	40 elastic u8        41 over u8 (1: the job has ended without this rank; all else is zero, and there is no descriptor)
//	42 zero              48  epoch u64         56  zero
//
// A spare's hello is answered when it is called in, or the job has ended.
//
// Command, 64 bytes and its tail; reply, 32 bytes and its body, matched by sequence, in whatever order commands end:
//
//	0  op u8   1  reduce u8   2  type u8   3  wire format u8   4  sequence u32
//	8  root u16   10  name length u8   11  dimensions u8 (≤ 8)   12  process group u32
//	16 source u64   24  destination u64   32  source bytes u64   40  destination bytes u64
//	48 residual u64, or all ones   56  parts u16 (≤ 512)   58  share u16   60  zero
//	64 name, dimensions u64 each, parts u64 each
//
//	0  sequence u32   4  status u32   8  value u64   16  epoch u64   24  body u32 (≤ 2048)   28  zero   32 body
//
// Ops are those above, and 0 (nothing: a round trip), 5 (goodbye), 9 (receive), 10 (a process group of the ranks in
// parts, whose number the reply's value is) and 11 (admission, [Circle.Admit]: the body is the rank and, for each rank,
// its place in the job, u32 each, and the epoch their view's). Source, destination and residual are offsets into the arena, multiples of
// 64. Parts are the bytes of each rank, for alltoall those sent and then those received; none: all equal. A broadcast
// has a destination only. Status 0 is done, value the microseconds it took, and the epoch that in which it happened; 1 a
// refused command (the group goes on), 2 a failed group, 3 a malformed command (the socket closes), 4, in an elastic job,
// an operation that cannot be without ranks that were lost (the others go on): the body is then a text. A container that
// disappears without a goodbye aborts the group or, in an elastic job, leaves it.
//
// # History
//
//   - 2026-11: spares: an answer at meetings and a hello of the gate that say that it is over, within the same versions.
//   - 2026-11: version 4 between agents: through rank 0 on one machine; heartbeats say what is under way.
//   - 2026-11: version 3 between agents: surveys.
//   - 2026-11: the largest values as a wire format, and residuals with bf16, within the same versions.
//   - 2026-11: version 3 of the gate: elastic jobs, admission, epochs and bodies in replies; meeting version 2.
//   - 2026-11: version 3 of straight lanes: records of their own.
//   - 2026-11: version 2 of both: types, wire formats, names, lanes, parts, process groups; five more operations.
//   - 2026-11: version 1 of both.
package collective
