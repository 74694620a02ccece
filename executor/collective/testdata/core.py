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
