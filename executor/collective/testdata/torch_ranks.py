"""One rank of TestTorchInContainers: everything tally.torch offers, with the real torch."""

import sys
import time

import torch

import tally.torch as hvd
from tally import _core, metrics

torch.set_num_threads(1)
rank, size = int(sys.argv[1]), int(sys.argv[2])
hvd.init()
assert hvd.is_initialized() and (hvd.rank(), hvd.size(), hvd.local_rank()) == (rank, size, 0)
assert (hvd.cross_rank(), hvd.cross_size()) == (rank, size)


def refuses(kind, call):
    try:
        call()
    except kind as e:
        return str(e)
    raise AssertionError("%s was expected" % kind.__name__)


def values(r, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(r))


def check_operations():
    every = [values(r, 33, 5) for r in range(size)]
    mean = torch.stack([e.double() for e in every]).mean(0).float()
    mine = every[rank].clone()
    assert torch.allclose(hvd.allreduce(mine), mean, atol=1e-6) and torch.equal(mine, every[rank])
    assert torch.allclose(hvd.allreduce(mine.t(), op=hvd.Sum), sum(every).t(), atol=1e-5)
    assert torch.equal(hvd.allreduce(mine, op=hvd.Max), torch.stack(every).max(0).values)
    assert torch.equal(hvd.allreduce(mine, op=hvd.Min), torch.stack(every).min(0).values)
    assert abs(hvd.allreduce(torch.tensor(float(rank)), average=False).item() - sum(range(size))) < 1e-6
    hvd.allreduce_(mine, op=hvd.Sum)
    assert torch.allclose(mine, sum(every), atol=1e-5)
    assert hvd.allreduce(torch.empty(0)).numel() == 0

    handles = [hvd.allreduce_async(torch.full((1000,), float(k + rank)), op=hvd.Sum) for k in range(100)]
    for k, h in enumerate(handles):
        out = hvd.synchronize(h)
        assert hvd.poll(h) and out[999] == k * size + sum(range(size))
    in_place = torch.full((4,), float(rank))
    assert hvd.synchronize(hvd.allreduce_async_(in_place, op=hvd.Max)) is in_place and in_place[0] == size - 1

    a, b = hvd.grouped_allreduce([torch.ones(3, 2), torch.full((2,), float(rank))], op=hvd.Sum)
    assert a.shape == (3, 2) and a[0, 0] == size and b[1] == sum(range(size))

    rows = 2 * size + 1  # do not divide: rank 0 gets one more
    whole = torch.arange(rows * 3, dtype=torch.float64).reshape(rows, 3)
    mine = hvd.reducescatter(whole + rank, op=hvd.Sum)
    first = 0 if rank == 0 else 2 * rank + 1
    assert torch.equal(mine, (whole * size + sum(range(size)))[first:first + mine.shape[0]]) and mine.shape[0] == 2 + (rank == 0)
    dealt, received = hvd.alltoall(torch.cat([torch.full((r, 2), 10 * rank + r) for r in range(size)]), splits=list(range(size)))
    assert received.tolist() == [rank] * size and dealt.tolist() == [[10 * r + rank] * 2 for r in range(size) for _ in range(rank)]
    assert hvd.alltoall(torch.arange(size)).tolist() == [rank] * size
    gathered = [hvd.allgather_async(torch.full((k + rank, 3), rank)) for k in range(4)]
    dealt = [hvd.alltoall_async(torch.full((size * k,), rank)) for k in range(4)]
    for k in range(4):
        assert hvd.synchronize(dealt[k]).tolist() == [r for r in range(size) for _ in range(k)] and hvd.poll(dealt[k])
        assert hvd.synchronize(gathered[k])[:, 0].tolist() == [r for r in range(size) for _ in range(k + r)]
    huge = hvd.alltoall(torch.full((size, 1 << 20), rank, dtype=torch.uint8))
    assert [int(r[-1]) for r in huge] == list(range(size))
    for t in (torch.tensor([2, 1, 3]), torch.tensor([2.0, 1, 3]).bfloat16(), torch.tensor([2.0, 1, 3]).half(), torch.tensor([2, 1, 3], dtype=torch.int16)):
        assert torch.equal(hvd.allreduce(t, op=hvd.Product), t**size), t.dtype
    assert hvd.allreduce(torch.tensor([rank == 0, True, False]), op=hvd.Sum).tolist() == [True, True, False]
    names = ["layer%d" % k for k in range(20)]
    names = names[rank * 3 % 20:] + names[:rank * 3 % 20]
    handles = {name: hvd.allreduce_async(torch.full((5,), float(len(name) + rank)), name=name, op=hvd.Sum) for name in names}
    for name, h in handles.items():
        assert hvd.synchronize(h)[4] == size * len(name) + sum(range(size))
    for c in (hvd.Compression.bf16, hvd.Compression.int8):
        got = hvd.allreduce(values(rank, 9999), compression=c)
        want = torch.stack([values(r, 9999) for r in range(size)]).mean(0)
        assert (got - want).norm() <= 0.02 * want.norm(), c
        assert len(set(str(o) for o in hvd.allgather_object(got[:50].tolist()))) == 1
    pair = hvd.synchronize(hvd.grouped_allreduce_async([torch.ones(2), torch.ones(3, dtype=torch.int64)], op=hvd.Sum, name="pair"))
    assert pair[0].tolist() == [size] * 2 and pair[1].tolist() == [size] * 3
    late = hvd.broadcast_async(torch.tensor([rank]), size - 1)
    assert hvd.synchronize(late).item() == size - 1
    if size > 1:
        assert "average" in refuses(TypeError, lambda: hvd.reducescatter(torch.tensor([1] * size)))

    big = torch.full((5 << 20,), float(rank + 1))  # larger than the arena
    assert torch.equal(hvd.allreduce(big), torch.full_like(big, (size + 1) / 2))

    exact = 2**62 + 1  # other types are exact
    assert hvd.allreduce(torch.tensor([exact if rank == 0 else 1]), op=hvd.Sum).item() == exact + size - 1
    assert hvd.allreduce(torch.tensor([0.1], dtype=torch.float64)).item() == sum([0.1] * size) / size
    assert "int64" in refuses(TypeError, lambda: hvd.allreduce(torch.tensor([1])))

    for t in (torch.tensor([[2**62 + rank, -rank]]), torch.tensor(rank == 0), values(rank, 7, 3).t(), values(rank, 2).half()):
        root = torch.tensor([[2**62 + size - 1, 1 - size]]) if t.dtype == torch.int64 else None
        got = hvd.broadcast(t, size - 1)
        assert got.shape == t.shape and (root is None or torch.equal(got, root))
        assert all(o == got.tolist() for o in hvd.allgather_object(got.tolist()))
    rows = hvd.allgather(torch.full((rank, 2), rank, dtype=torch.int32))
    assert rows.tolist() == [[r, r] for r in range(size) for _ in range(r)]
    if size > 1:
        refuses(TypeError, lambda: hvd.allgather(torch.zeros(2, 2 + rank)))

    assert hvd.broadcast_object({"epoch": rank, "w": torch.ones(2)}, 1 % size)["epoch"] == 1 % size
    assert [o["r"] for o in hvd.allgather_object({"r": rank, "pad": "x" * rank})] == list(range(size))
    odd = {"a": [1.5, None, True, (2, {3})], 4: b"raw", "t": torch.tensor([[float("inf")]]), "h": torch.ones(2).half()}
    assert str(hvd.broadcast_object(odd if rank == 0 else None)) == str(odd)
    assert "Linear" in refuses(TypeError, lambda: hvd.broadcast_object(torch.nn.Linear(1, 1), root_rank=rank))
    hvd.barrier()


class Sometimes(torch.nn.Module):
    """A model with a layer that only rank 0 uses, and one that nobody does."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(8, 16), torch.nn.Linear(16, 3)
        self.rare, self.never = torch.nn.Linear(16, 16), torch.nn.Linear(4, 4)

    def forward(self, x, rare):
        h = torch.tanh(self.first(x))
        return self.last(h + self.rare(h) if rare else h)


def train(make, chunk=None, passes=1, compression=hvd.Compression.none, most=1e-5):
    """The largest relative difference between 10 steps split over the ranks and alone."""
    x, y = values(99, size * 4 * passes, 8), torch.arange(size * 4 * passes) % 3
    torch.manual_seed(rank)  # different everywhere until the broadcast
    split = Sometimes()
    hvd.broadcast_parameters(split.state_dict(), root_rank=0)
    alone = Sometimes()
    alone.load_state_dict(split.state_dict())
    plain = make(alone.parameters())
    opt = hvd.DistributedOptimizer(make(split.parameters()), named_parameters=split.named_parameters(), backward_passes_per_step=passes, compression=compression)
    assert isinstance(opt, type(plain)) and opt.param_groups and opt.state_dict()["param_groups"]
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 5, 0.5)
    twin = torch.optim.lr_scheduler.StepLR(plain, 5, 0.5)
    session = _core.session()
    before, session.chunk = session.chunk, chunk or session.chunk
    loss_of = torch.nn.CrossEntropyLoss()
    for step in range(10):
        opt.zero_grad(set_to_none=True)
        for k in range(passes):
            rows = slice((k * size + rank) * 4, (k * size + rank + 1) * 4)
            loss = loss_of(split(x[rows], rank == 0), y[rows])
            loss.backward()
        opt.step()
        scheduler.step()
        hashes = hvd.allgather_object(hvd.parameter_hash(split))
        assert len(set(hashes)) == 1, "the ranks' parameters differ after step %d" % step
        metrics.log(step=step, loss=loss, parameters=hashes[rank])

        plain.zero_grad(set_to_none=True)
        for k in range(passes):
            for r in range(size):
                rows = slice((k * size + r) * 4, (k * size + r + 1) * 4)
                (loss_of(alone(x[rows], r == 0), y[rows]) / size).backward()
        plain.step()
        twin.step()
    session.chunk = before
    assert split.never.weight.grad is None
    ours = torch.cat([p.detach().reshape(-1) for p in split.parameters()])
    theirs = torch.cat([p.detach().reshape(-1) for p in alone.parameters()])
    difference = ((ours - theirs).norm() / theirs.norm()).item()
    assert difference <= most, difference
    return difference


def check_optimizer():
    worst = max(
        train(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3)),
        train(lambda p: torch.optim.SGD(p, lr=0.1), chunk=192),
        train(lambda p: torch.optim.SGD(p, lr=0.1, nesterov=True, momentum=0.5), passes=2),
        train(lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-3)),
    )
    for compression in (hvd.Compression.bf16, hvd.Compression.int8):
        train(lambda p: torch.optim.SGD(p, lr=0.1), chunk=960, compression=compression, most=2e-3)
    model = torch.nn.Linear(4, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(opt, 1)
    assert "scheduler" in refuses(ValueError, lambda: hvd.DistributedOptimizer(opt))

    opt = hvd.DistributedOptimizer(torch.optim.Adam(model.parameters(), lr=0.1 * (rank + 1)))
    refuses(ValueError, lambda: hvd.DistributedOptimizer(opt))
    model(torch.ones(2, 4) * (rank + 1)).sum().backward()
    opt.synchronize()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    clipped = model.weight.grad.clone()
    with opt.skip_synchronize():
        opt.step()
    assert torch.equal(clipped, model.weight.grad)
    hvd.broadcast_optimizer_state(opt, root_rank=size - 1)
    assert opt.param_groups[0]["lr"] == 0.1 * size
    assert len(set(str(o) for o in hvd.allgather_object(opt.state_dict()))) == 1

    wide = torch.nn.Linear(2, 2).double()
    bad = hvd.DistributedOptimizer(torch.optim.SGD(wide.parameters(), lr=1), named_parameters=wide.named_parameters())
    wide(torch.ones(1, 2).double()).sum().backward()
    if size > 1:
        assert "weight is torch.float64" in refuses(TypeError, bad.step)
    return worst


def check_feedback():
    """Fits a linear model to data that differ between the ranks, of whose gradient a tenth travels."""
    torch.manual_seed(5)
    x, truth = torch.randn(64, 600), torch.randn(600, 8)
    left = {}
    for compression in (hvd.Compression.none, hvd.Compression.bf16, hvd.Compression.topk(0.1)):
        model = torch.nn.Linear(600, 8, bias=False)
        torch.nn.init.zeros_(model.weight)
        opt = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.003), compression=compression)
        target = x @ (truth + 2 * (rank - (size - 1) / 2) * torch.ones(600, 8))  # the ranks' mean is the truth's
        for _ in range(100):
            opt.zero_grad()
            ((model(x) - target) ** 2).sum(1).mean().backward()
            opt.step()
        hashes = hvd.allgather_object(hvd.parameter_hash(model))
        assert len(set(hashes)) == 1, "%s: the ranks' parameters differ" % compression.__name__
        left[compression.__name__] = ((x @ (model.weight.detach().t() - truth)).norm() / (x @ truth).norm()).item()
    if size > 1:
        kept = opt._tally_lost._kept
        assert sum(t.numel() for t in kept.values()) == model.weight.numel() and any(t.abs().max() > 0 for t in kept.values())
        session = _core.session()
        session.epoch += 1  # as where ranks were lost
        opt.synchronize()
        session.epoch -= 1
        assert opt._tally_lost._kept is not kept
    assert max(left.values()) < 0.3, left
    refuses(ValueError, lambda: hvd.Compression.topk(0))
    return left


def reduction_seconds():
    """Median seconds to reduce 4 MiB of gradients."""
    model = torch.nn.Linear(1024, 1024, bias=False)
    opt = hvd.DistributedOptimizer(torch.optim.SGD(model.parameters(), lr=0.0))
    model.weight.grad = torch.ones(1024, 1024)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        opt.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


check_operations()
worst = check_optimizer()
left = check_feedback()
seconds = reduction_seconds()
hvd.shutdown()
assert not hvd.is_initialized()
if rank == 0:
    print("torch %s, %d ranks, largest relative difference from training alone %.2g, 4 MiB of gradients in %.1f ms; left to fit: %s"
          % (torch.__version__, size, worst, seconds * 1e3, ", ".join("%s %.3f" % pair for pair in left.items())))
