"""Operations on torch tensors: what tally.torch offers under Horovod's names."""

import ctypes
import hashlib
import math
import struct

import torch

from . import _core
from ._core import MEAN, MIN, SUM


def memory(tensor):
    """The bytes of a contiguous CPU tensor as a writable memoryview; keep the tensor alive."""
    n = tensor.numel() * tensor.element_size()
    if n == 0:
        return memoryview(bytearray())
    return memoryview((ctypes.c_ubyte * n).from_address(tensor.data_ptr())).cast("B")


def on_cpu(tensor):
    """The tensor's values as a detached contiguous CPU tensor: itself where it already is one."""
    return tensor.detach().cpu().contiguous()


def floats(session, region, count):
    """A float32 tensor over a region of the arena."""
    return torch.frombuffer(session.arena, dtype=torch.float32, count=count, offset=region.offset)


class Done:
    """The handle of an operation that finished at once."""

    def __init__(self, result):
        self.result = result

    def done(self):
        return True

    def wait(self):
        return self.result


def start_allreduce(tensor, out, op, prescale=1.0, postscale=1.0):
    """Starts an allreduce of tensor into out (which may be tensor); the handle's result is out."""
    session = _core.session()
    if tensor.is_sparse:
        raise TypeError("allreduce of a sparse tensor: make it dense first")
    if tensor.dtype != torch.float32:
        return Done(_gather_and_fold(session, tensor, out, op, prescale, postscale))
    n = tensor.numel()
    if n * 4 > session.chunk:
        work = on_cpu(tensor).clone()
        if prescale != 1.0:
            work *= prescale
        session.allreduce(memory(work), op)
        return Done(_store(out, work, postscale))
    region = session.region(n * 4)
    if n:
        view = floats(session, region, n)
        view.copy_(tensor.detach().reshape(-1))
        if prescale != 1.0:
            view *= prescale

    def finish():
        return _store(out, floats(session, region, n), postscale) if n else out

    return session.allreduce_region(region, n * 4, op, finish)


def _store(out, flat, postscale):
    target = out.detach()
    target.copy_(flat.reshape(target.shape))
    if postscale != 1.0:
        target *= postscale
    return out


def _gather_and_fold(session, tensor, out, op, prescale, postscale):
    """Types that do not go round the ring: all ranks' values, folded in rank order."""
    if op == MEAN and not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
        raise TypeError("the average of %s is not exact: use op=Sum, or convert to float32" % tensor.dtype)
    if (prescale, postscale) != (1.0, 1.0):
        raise TypeError("scale factors need float32, not %s" % tensor.dtype)
    mine = on_cpu(tensor)
    folded = None
    for data in session.allgather(memory(mine)):
        theirs = from_bytes(data, mine.dtype, mine.shape)
        if folded is None:
            folded = theirs
        elif op in (SUM, MEAN):
            folded = folded | theirs if mine.dtype == torch.bool else folded + theirs
        else:
            folded = torch.minimum(folded, theirs) if op == MIN else torch.maximum(folded, theirs)
    if op == MEAN:
        folded = folded / session.size
    out.detach().copy_(folded)
    return out


def from_bytes(data, dtype, shape):
    """A new tensor with these bytes."""
    t = torch.empty(shape, dtype=dtype)
    memory(t)[:] = data
    return t


def broadcast_in_place(tensor, root):
    """Replaces a tensor's values by the root's, whatever the type: bytes are moved."""
    target = tensor.detach()
    work = on_cpu(target)
    _core.session().broadcast(memory(work), root)
    if work.data_ptr() != target.data_ptr() or work.device != target.device:
        target.copy_(work)
    return tensor


def gather(tensor):
    """The ranks' tensors one after another along the first dimension, which may differ."""
    session = _core.session()
    mine = on_cpu(tensor)
    if mine.dim() == 0:
        mine = mine.reshape(1)
    rest = tuple(mine.shape[1:])
    row = math.prod(rest) * mine.element_size()
    shape = struct.pack("<16sQ", str(mine.dtype).encode()[-16:], row)
    if any(s != shape for s in session.allgather(shape)):
        raise TypeError("allgather: the ranks' tensors differ in type or in a dimension after the first")
    if row == 0:
        rows = sum(struct.unpack("<Q", b)[0] for b in session.allgather(struct.pack("<Q", mine.shape[0])))
        return torch.empty((rows,) + rest, dtype=mine.dtype, device=tensor.device)
    parts = session.allgather_varied(memory(mine))
    data = b"".join(parts)
    return from_bytes(data, mine.dtype, (len(data) // row,) + rest).to(tensor.device)


def parameter_hash(model):
    """SHA-256 (hex) over the parameters in name order, each as contiguous float32 bytes."""
    named = model.named_parameters() if hasattr(model, "named_parameters") else model
    named = named.items() if hasattr(named, "items") else named
    h = hashlib.sha256()
    for _, p in sorted(named, key=lambda item: item[0]):
        t = p.detach().to(device="cpu", dtype=torch.float32).contiguous()
        h.update(memory(t))
    return h.hexdigest()
