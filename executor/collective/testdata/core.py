"""One rank of TestPythonSDK: the SDK's core with the standard library alone."""

import array
import hashlib
import sys
import threading

import tally
from tally import metrics

rank, size = int(sys.argv[1]), int(sys.argv[2])
tally.init()
tally.init()  # harmless
assert (tally.rank(), tally.size(), tally.local_rank(), tally.local_size()) == (rank, size, 0, 1)
assert tally.session().job == "digits"
digest = hashlib.sha256()


def inputs(r, n):
    return array.array("f", [((i * 37 + r * 11) % 1009 - 504) / (1 + i % 13) for i in range(n)])


for n in (0, 1, 3, 1000, 70_001):
    every = [inputs(r, n) for r in range(size)]
    mine = inputs(rank, n)
    tally.allreduce(mine)
    for i in range(n):
        want = sum(e[i] for e in every)
        assert abs(mine[i] - want) <= 1e-5 * sum(abs(e[i]) for e in every), (n, i, mine[i], want)
    digest.update(mine)
    for op, fold in ((tally.MEAN, lambda v: sum(v) / len(v)), (tally.MIN, min), (tally.MAX, max)):
        mine = inputs(rank, n)
        tally.allreduce(mine, op)
        for i in range(0, n, 97):
            assert abs(mine[i] - fold([e[i] for e in every])) <= 1e-4, (op, i)
        digest.update(mine)

# larger than the arena: in pieces
big = array.array("f", [rank + 1.0]) * (3 << 20)
tally.allreduce(big)
assert big[0] == big[-1] == size * (size + 1) / 2
huge = bytearray([rank]) * (9 << 20)
tally.broadcast(huge, size - 1)
assert huge == bytearray([size - 1]) * (9 << 20)
parts = tally.allgather(bytes([rank]) * 5_000_000)
assert [p[0] for p in parts] == list(range(size)) and {len(p) for p in parts} == {5_000_000}
assert [bytes(p) for p in tally.session().allgather_varied(b"x" * rank)] == [b"x" * r for r in range(size)]

# uneven parts, smaller and larger than the arena
for unit in (0, 3, 900_001):
    lengths = [unit * (r % 3) for r in range(size)]
    got = tally.allgather(bytes([rank]) * lengths[rank], lengths)
    assert got == [bytes([r]) * n for r, n in enumerate(lengths)]
    counts = [unit * ((rank + to) % 3) for to in range(size)]
    got = tally.alltoall(b"".join(bytes([16 * rank + to]) * n for to, n in enumerate(counts)), counts)
    assert got == [bytes([16 * r + rank]) * (unit * ((r + rank) % 3)) for r in range(size)]
    counts = [4 * unit * (1 + r % 2) for r in range(size)]
    values = array.array("f", [float(1 + i % 7) for i in range(sum(counts) // 4)])
    start = sum(counts[:rank]) // 4
    mine = array.array("f", tally.reducescatter(values, counts))
    assert mine == array.array("f", [size * v for v in values[start:start + counts[rank] // 4]]), unit

# every type, the product, and the two formats that round
for dtype, code in ((tally.F32, "f"), (tally.F64, "d"), (tally.I32, "i"), (tally.I64, "q"), (tally.U8, "B")):
    values = array.array(code, [2, 1, 3] * 5)
    tally.allreduce(values, tally.PROD, dtype)
    assert values == array.array(code, [(v**size) % 256 if code == "B" else v**size for v in (2, 1, 3)] * 5), code
for wire in (1, 2, 3 | 60000 << 8):
    values = array.array("f", [0.5 * rank + 0.25]) * 5000
    tally.allreduce(values, wire=wire)
    assert abs(values[4999] - sum(0.5 * r + 0.25 for r in range(size))) < 0.02 * size, wire
    digest.update(values)

# names in another order on each rank
session = tally.session()
order = list(range(30))
order = order[rank * 7 % 30:] + order[:rank * 7 % 30]
regions = {k: session.region(4) for k in order}
got = {}
for k in order:
    regions[k].view.cast("f")[0] = k + rank
handles = []
for k in order:
    def keep_named(k=k):
        got[k] = regions[k].view.cast("f")[0]
    handles.append(session.allreduce_region(regions[k], 4, tally.SUM, keep_named, name="weight %d" % k, shape=(1, 1)))
for h in handles:
    h.wait()
assert got == {k: k * size + size * (size - 1) / 2 for k in order}

# messages and process groups
if size > 1:
    following, before = (rank + 1) % size, (rank - 1) % size
    if rank % 2 == 0:
        tally.send(bytes([rank]) * 9_000_000, following)
    data = bytearray(9_000_000)
    if before % 2 == 0:
        tally.receive(data, before)
        assert data == bytes([before]) * 9_000_000
    ranks = [r for r in range(size) if r % 2 == rank % 2][::-1]
    part = tally.group(ranks)
    assert (part.size, ranks[part.rank]) == (len(ranks), rank)
    assert part.allgather(bytes([rank])) == [bytes([r]) for r in ranks]
    values = array.array("d", [rank]) * 10
    part.allreduce(values, tally.SUM, tally.F64)
    assert values[9] == sum(ranks)

# several operations in flight, and then more than the agent takes at once
session = tally.session()
regions = [session.region(4000) for _ in range(200)]
for k, region in enumerate(regions):
    region.view.cast("f")[0] = k + rank
results = [None] * len(regions)
handles = []
for k, region in enumerate(regions):
    def keep(k=k, region=region):
        results[k] = region.view.cast("f")[0]
    handles.append(session.allreduce_region(region, 4000, tally.SUM, keep))
for h in reversed(handles):
    h.wait()
    assert h.done()
assert results == [k * size + size * (size - 1) / 2 for k in range(len(regions))]

# threads may wait for each other's replies
waiting = [session.allreduce_region(session.region(4), 4, tally.MAX) for _ in range(40)]
threads = [threading.Thread(target=h.wait) for h in waiting]
for t in threads:
    t.start()
for t in threads:
    t.join()

# what the agent refuses is an error, and the group goes on
try:
    session._link.wait(session._link.submit(1, src=4, dst=64, src_bytes=8, dst_bytes=8))
    raise AssertionError("a bad offset was accepted")
except tally.CollectiveError as e:
    assert "source offset 4" in str(e), e
for wrong in (lambda: tally.broadcast(bytearray(4), size), lambda: tally.allreduce(bytearray(3))):
    try:
        wrong()
        raise AssertionError("a bad argument was accepted")
    except tally.CollectiveError:
        pass
tally.barrier()
metrics.log(step=1, loss=0.5, worst=float("nan"))
metrics.log(step=2, loss=0.25)
tally.shutdown()
assert not tally.is_initialized()
print("digest", digest.hexdigest())
