"""Collectives for PyTorch under Horovod's names: import tally.torch as hvd.

Results are not differentiable: gradients flow through DistributedOptimizer.
Objects travel as plain data and tensors only, never as code.
"""

import torch as _torch

from . import _core, _objects, _optimizer, _tensors, _wire, elastic
from ._core import CollectiveError, LostError, barrier, is_initialized, local_rank, local_size, rank, shutdown, size
from ._tensors import parameter_hash

__all__ = [
    "Average", "CollectiveError", "Compression", "DistributedOptimizer", "LostError", "Max", "Min", "Product", "Sum",
    "allgather", "allgather_async", "allgather_object", "allreduce", "allreduce_", "allreduce_async", "allreduce_async_", "alltoall", "alltoall_async",
    "barrier", "broadcast", "broadcast_", "broadcast_async", "broadcast_async_", "broadcast_object", "broadcast_optimizer_state",
    "broadcast_parameters", "cross_rank", "cross_size", "elastic", "grouped_allreduce", "grouped_allreduce_async", "init", "is_initialized",
    "local_rank", "local_size", "parameter_hash", "poll", "rank", "reducescatter", "reducescatter_async", "shutdown", "size",
    "synchronize",
]

Average, Sum, Min, Max, Product = _core.MEAN, _core.SUM, _core.MIN, _core.MAX, _core.PROD


class _Format:
    """Tensors stay what they are; the agents round what travels between them."""

    wire = _wire.AS_IT_IS

    @staticmethod
    def compress(tensor):
        return tensor, None

    @staticmethod
    def decompress(tensor, ctx):
        return tensor


class Compression:
    """What float32 travels as. DistributedOptimizer adds what was lost the next time."""

    class none(_Format):
        """As it is."""

    class bf16(_Format):
        """Half the bytes; each rank rounds the sum so far to 8 binary digits."""

        wire = _wire.AS_BF16

    class int8(_Format):
        """A quarter of the bytes; 1024 values share a scale."""

        wire = _wire.AS_INT8

    fp16 = bf16  # Horovod's name for half the bytes

    @staticmethod
    def topk(share):
        """Of each rank only this share of the values, those of the largest magnitude, such as 0.01; 8 bytes each."""
        return type("topk", (_Format,), {"wire": _wire.top_k(share)})


def init():
    """Joins the group, or makes a group of one where there is no agent."""
    _core.init()


def cross_rank():
    """This machine's place among the group's machines (all have as many ranks)."""
    return rank() // local_size()


def cross_size():
    """The number of machines."""
    return size() // local_size()


def _op(average, op):
    if average is not None:
        if op is not None:
            raise ValueError("give op or average, not both")
        return Average if average else Sum
    op = Average if op is None else op
    if op not in (Average, Sum, Min, Max, Product):
        raise ValueError("unknown reduction %r" % (op,))
    return op


def _compression(compression):
    if not (isinstance(compression, type) and issubclass(compression, _Format)):
        raise ValueError("compression is one of Compression.none, bf16, int8 and topk(share)")
    return compression.wire


def allreduce_async_(tensor, average=None, name=None, op=None, prescale_factor=1.0, postscale_factor=1.0):
    """Starts to replace a tensor by its reduction over all ranks."""
    return _tensors.start_allreduce(tensor, tensor, _op(average, op), prescale_factor, postscale_factor, name or "")


def allreduce_async(tensor, average=None, name=None, op=None, prescale_factor=1.0, postscale_factor=1.0, compression=Compression.none):
    """Starts a reduction into a new tensor. Tensors with a name may be submitted in any order, those without in one."""
    out = _torch.empty_like(tensor.detach())
    return _tensors.start_allreduce(tensor, out, _op(average, op), prescale_factor, postscale_factor, name or "", _compression(compression))


def allreduce_(tensor, average=None, name=None, op=None, prescale_factor=1.0, postscale_factor=1.0):
    """Replaces a tensor by its reduction over all ranks."""
    return synchronize(allreduce_async_(tensor, average, name, op, prescale_factor, postscale_factor))


def allreduce(tensor, average=None, name=None, compression=Compression.none, op=None, prescale_factor=1.0, postscale_factor=1.0):
    """The reduction over all ranks: Average unless op says otherwise."""
    return synchronize(allreduce_async(tensor, average, name, op, prescale_factor, postscale_factor, compression))


def grouped_allreduce_async(tensors, average=None, name=None, compression=Compression.none, op=None):
    """Starts the reductions of several tensors; all names are the given one's with a number."""
    return _tensors.Several(
        allreduce_async(t, average, "%s.%d" % (name, i) if name else None, op, compression=compression) for i, t in enumerate(tensors))


def grouped_allreduce(tensors, average=None, name=None, compression=Compression.none, op=None):
    """The reductions of several tensors, as one operation where all are float32 and fit."""
    tensors = list(tensors)
    limit = _core.session().chunk // 4
    if sum(t.numel() for t in tensors) > limit or any(t.dtype != _torch.float32 or t.is_sparse for t in tensors):
        return synchronize(grouped_allreduce_async(tensors, average, name, compression, op))
    if not tensors:
        return []
    together = _torch.cat([_tensors.on_cpu(t).reshape(-1) for t in tensors])
    flat = allreduce(together, average, name, compression, op)
    parts = flat.split([t.numel() for t in tensors])
    return [p.reshape(t.shape).to(t.device, copy=True) for p, t in zip(parts, tensors)]


def reducescatter_async(tensor, name=None, op=Average):
    """Starts a reduction whose rows are dealt to the ranks, the first ones getting one more where they do not divide."""
    return _tensors.start_reducescatter(tensor, _op(None, op), name or "")


def reducescatter(tensor, name=None, op=Average):
    """This rank's rows of the reduction over all ranks."""
    return synchronize(reducescatter_async(tensor, name, op))


class _Dealt:
    """The handle of an alltoall, whose result has a second part only where splits were given."""

    def __init__(self, handle, splits):
        self._handle, self._splits = handle, splits

    def done(self):
        return self._handle.done()

    def wait(self):
        out, received = self._handle.wait()
        return out if self._splits is None else (out, _torch.tensor(received, dtype=_torch.int32))


def alltoall_async(tensor, splits=None, name=None):
    """Starts an alltoall, once the ranks have told each other how many rows they have."""
    return _Dealt(_tensors.start_deal(tensor, splits, name or ""), splits)


def alltoall(tensor, splits=None, name=None):
    """The rows that every rank has for this one, in rank order; with splits (rows for each rank) also how many from each."""
    return synchronize(alltoall_async(tensor, splits, name))


def synchronize(handle):
    """Waits for an operation and gives its result."""
    return handle.wait()


def poll(handle):
    """Whether synchronize() would return at once."""
    return handle.done()


def allgather_async(tensor, name=None):
    """Starts an allgather, once the ranks have told each other how many rows they have."""
    return _tensors.start_gather(tensor, name or "")


def allgather(tensor, name=None):
    """The ranks' tensors one after another along the first dimension."""
    return synchronize(allgather_async(tensor, name))


def broadcast_async_(tensor, root_rank, name=None):
    """Starts to replace a tensor by the root's, bit for bit."""
    return _tensors.start_broadcast(tensor, root_rank, name or "")


def broadcast_async(tensor, root_rank, name=None):
    """Starts to fetch the root's tensor."""
    return broadcast_async_(tensor.detach().clone(), root_rank, name)


def broadcast_(tensor, root_rank, name=None):
    """Replaces a tensor by the root's, bit for bit."""
    return synchronize(broadcast_async_(tensor, root_rank, name))


def broadcast(tensor, root_rank, name=None):
    """The root's tensor."""
    return broadcast_(tensor.detach().clone(), root_rank, name)


def broadcast_parameters(params, root_rank=0):
    """Replaces all tensors of a state_dict, or of (name, tensor) pairs, by the root's."""
    if hasattr(params, "items"):
        params = sorted(params.items())
    for _, p in params:
        if isinstance(p, _torch.Tensor):
            broadcast_(p, root_rank)


def broadcast_object(obj, root_rank=0, name=None):
    """The root's object: plain data and tensors."""
    return _objects.broadcast(obj, root_rank)


def allgather_object(obj, name=None):
    """Every rank's object, in rank order: plain data and tensors."""
    return _objects.allgather(obj)


def broadcast_optimizer_state(optimizer, root_rank=0):
    """Gives every rank the root's optimizer state and hyperparameters."""
    mine = rank() == root_rank
    state = _objects.broadcast(optimizer.state_dict() if mine else None, root_rank)
    if not mine:
        optimizer.load_state_dict(state)


def DistributedOptimizer(optimizer, named_parameters=None, compression=Compression.none, backward_passes_per_step=1, op=Average):
    """The optimizer itself, whose step() first reduces all gradients over the ranks.

    With backward_passes_per_step > 1, call step() after that many backward passes:
    their gradients add up, as torch does it, and are reduced once.
    """
    return _optimizer.distribute(optimizer, named_parameters, op, backward_passes_per_step, _compression(compression))
