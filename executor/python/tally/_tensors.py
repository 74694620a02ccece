"""Operations on torch tensors: what tally.torch offers under Horovod's names."""

import ctypes
import hashlib
import math
import struct

import torch

from . import _core, _wire
from ._core import MEAN, MIN, PROD, SUM

# The types that the agents fold. The others are gathered, and folded by each rank.
NATIVE = {
    torch.float32: _core.F32, torch.float64: _core.F64, torch.float16: _core.F16, torch.bfloat16: _core.BF16,
    torch.int32: _core.I32, torch.int64: _core.I64, torch.uint8: _core.U8,
}


def memory(tensor):
    """The bytes of a contiguous CPU tensor as a writable memoryview; keep the tensor alive."""
    n = tensor.numel() * tensor.element_size()
    if n == 0:
        return memoryview(bytearray())
    return memoryview((ctypes.c_ubyte * n).from_address(tensor.data_ptr())).cast("B")


def on_cpu(tensor):
    """The tensor's values as a detached contiguous CPU tensor: itself where it already is one."""
    return tensor.detach().cpu().contiguous()


def within(session, region, dtype, count, offset=0):
    """A tensor over a region of the arena."""
    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(session.arena, dtype=dtype, count=count, offset=region.offset + offset)


def floats(session, region, count):
    """A float32 tensor over a region of the arena."""
    return within(session, region, torch.float32, count)


class Done:
    """The handle of an operation that finished at once."""

    def __init__(self, result):
        self.result = result

    def done(self):
        return True

    def wait(self):
        return self.result


class Several:
    """The handle of operations that were started together."""

    def __init__(self, handles):
        self.handles = list(handles)

    def done(self):
        return all(h.done() for h in self.handles)

    def wait(self):
        return [h.wait() for h in self.handles]


def start_allreduce(tensor, out, op, prescale=1.0, postscale=1.0, name="", wire=_wire.AS_IT_IS):
    """Starts an allreduce of tensor into out (which may be tensor); the handle's result is out."""
    session = _core.session()
    if tensor.is_sparse:
        raise TypeError("allreduce of a sparse tensor: make it dense first")
    exact = not tensor.dtype.is_floating_point
    if exact and op == MEAN:
        raise TypeError("the average of %s is not exact: use op=Sum, or convert to float32" % tensor.dtype)
    if exact and (prescale, postscale) != (1.0, 1.0):
        raise TypeError("scale factors need a floating type, not %s" % tensor.dtype)
    if wire != _wire.AS_IT_IS and (tensor.dtype != torch.float32 or op not in (SUM, MEAN)):
        raise TypeError("only a sum or average of float32 is compressed, not %s" % tensor.dtype)
    if tensor.dtype not in NATIVE:
        return Done(_gather_and_fold(session, tensor, out, op))
    dtype, n = NATIVE[tensor.dtype], tensor.numel()
    nbytes = n * tensor.element_size()
    if nbytes > session.chunk:
        work = on_cpu(tensor).clone()
        if prescale != 1.0:
            work *= prescale
        session.allreduce(memory(work), op, dtype, wire, name)
        return Done(_store(out, work, postscale))
    region = session.region(nbytes)
    view = within(session, region, tensor.dtype, n)
    view.copy_(tensor.detach().reshape(-1))
    if prescale != 1.0:
        view *= prescale

    def finish():
        return _store(out, view, postscale)

    return session.allreduce_region(region, nbytes, op, finish, dtype, wire, name=name, shape=tensor.shape if name else ())


def _store(out, flat, postscale):
    target = out.detach()
    target.copy_(flat.reshape(target.shape))
    if postscale != 1.0:
        target *= postscale
    return out


def _gather_and_fold(session, tensor, out, op):
    """Types that the agents do not fold: all ranks' values, folded in rank order."""
    mine = on_cpu(tensor)
    folded = None
    for data in session.allgather(memory(mine)):
        theirs = from_bytes(data, mine.dtype, mine.shape)
        if folded is None:
            folded = theirs
        elif op in (SUM, MEAN):
            folded = folded | theirs if mine.dtype == torch.bool else folded + theirs
        elif op == PROD:
            folded = folded & theirs if mine.dtype == torch.bool else folded * theirs
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


def broadcast_in_place(tensor, root, name=""):
    """Replaces a tensor's values by the root's, whatever the type: bytes are moved."""
    target = tensor.detach()
    work = on_cpu(target)
    _core.session().broadcast(memory(work), root, name)
    if work.data_ptr() != target.data_ptr() or work.device != target.device:
        target.copy_(work)
    return tensor


def start_broadcast(tensor, root, name=""):
    """Starts to replace a tensor's values by the root's; the handle's result is the tensor."""
    session = _core.session()
    nbytes = tensor.numel() * tensor.element_size()
    if not 0 <= root < session.size:
        raise _core.CollectiveError("broadcast from rank %d of %d" % (root, session.size))
    if nbytes > session.chunk:
        return Done(broadcast_in_place(tensor, root, name))
    region = session.region(nbytes)
    view = within(session, region, tensor.dtype, tensor.numel())
    if session.rank == root:
        view.copy_(tensor.detach().reshape(-1))

    def finish():
        return tensor if session.rank == root else _store(tensor, view, 1.0)

    return session.start(_wire.BROADCAST, [region], finish, root=root, dst=region.offset, dst_bytes=nbytes, name=name)


def rows_of(tensor, session):
    """How many rows each rank gets of a tensor's first dimension: the first ranks one more where they do not divide."""
    rows = tensor.shape[0] if tensor.dim() else 0
    return [rows // session.size + (r < rows % session.size) for r in range(session.size)]


def start_reducescatter(tensor, op, name=""):
    """Starts a reduction whose result's rows are dealt to the ranks; the handle's result is this rank's."""
    session = _core.session()
    if tensor.dtype not in NATIVE or (op == MEAN and not tensor.dtype.is_floating_point):
        raise TypeError("reducescatter does not %s %s" % ("average" if op == MEAN else "fold", tensor.dtype))
    if tensor.dim() == 0:
        raise ValueError("reducescatter deals the rows of a tensor, and this one has none")
    mine = on_cpu(tensor)
    rows, width = rows_of(mine, session), math.prod(mine.shape[1:]) * mine.element_size()
    counts, shape = [n * width for n in rows], (rows[session.rank],) + tuple(mine.shape[1:])
    total, part = sum(counts), counts[session.rank]
    if total + max(counts) > session.chunk:
        data = session.reducescatter(memory(mine), counts, op, NATIVE[mine.dtype], name)
        return Done(from_bytes(data, mine.dtype, shape).to(tensor.device))
    src, dst = session.region(total), session.region(part)
    src.view[:] = memory(mine)

    def finish():
        return from_bytes(dst.view, mine.dtype, shape).to(tensor.device)

    return session.start(_wire.REDUCESCATTER, [src, dst], finish, reduce=op, dtype=NATIVE[mine.dtype], name=name, parts=counts,
                         src=src.offset, dst=dst.offset, src_bytes=total, dst_bytes=part)


def start_deal(tensor, splits=None, name=""):
    """Gives each rank rows of the first dimension; the handle's result is what this rank gets, and how many rows from each.
    What the ranks have for each other is settled before it returns."""
    session = _core.session()
    mine = on_cpu(tensor)
    rows = mine.shape[0] if mine.dim() else 0
    if splits is None and rows % session.size:
        raise ValueError("%d rows do not divide among %d ranks: give splits" % (rows, session.size))
    splits = [rows // session.size] * session.size if splits is None else [int(n) for n in splits]
    if len(splits) != session.size or sum(splits) != rows or min(splits) < 0:
        raise ValueError("%d rows in splits of %r for %d ranks" % (rows, splits, session.size))
    rest = tuple(mine.shape[1:])
    width = math.prod(rest) * mine.element_size()
    _alike(session, "alltoall", mine.dtype, rest)
    table = [struct.unpack("<%dQ" % session.size, b) for b in session.allgather(struct.pack("<%dQ" % session.size, *splits))]
    got = [row[session.rank] for row in table]

    def finish(parts):
        return from_bytes(b"".join(parts), mine.dtype, (sum(got),) + rest).to(tensor.device), got

    if width == 0:
        return Done(finish([]))
    counts, largest = [n * width for n in splits], max(max(row) for row in table) * width
    handle = session.start_parts(_wire.ALLTOALL, memory(mine), counts, [n * width for n in got], finish, largest, name)
    return handle or Done(finish(session.alltoall(memory(mine), counts, name)))


def _alike(session, what, dtype, rest):
    """All ranks' tensors must agree in all but the number of rows."""
    mine = hashlib.sha256(repr((str(dtype), rest)).encode()).digest()
    if any(theirs != mine for theirs in session.allgather(mine)):
        raise TypeError("%s: the ranks' tensors differ in type or in a dimension after the first" % what)


def start_gather(tensor, name=""):
    """Starts to put the ranks' tensors one after another along the first dimension, which may differ; how much they do is
    settled before it returns."""
    session = _core.session()
    mine = on_cpu(tensor)
    if mine.dim() == 0:
        mine = mine.reshape(1)
    rest = tuple(mine.shape[1:])
    row = math.prod(rest) * mine.element_size()
    _alike(session, "allgather", mine.dtype, rest)
    rows = [struct.unpack("<Q", b)[0] for b in session.allgather(struct.pack("<Q", mine.shape[0]))]

    def finish(parts):
        return from_bytes(b"".join(parts), mine.dtype, (sum(rows),) + rest).to(tensor.device)

    if row == 0:
        return Done(finish([]))
    lengths = [n * row for n in rows]
    handle = session.start_parts(_wire.ALLGATHER, memory(mine), [lengths[session.rank]], lengths, finish, max(lengths), name)
    return handle or Done(finish(session.allgather(memory(mine), lengths, name)))


def parameter_hash(model):
    """SHA-256 (hex) over the parameters in name order, each as contiguous float32 bytes."""
    named = model.named_parameters() if hasattr(model, "named_parameters") else model
    named = named.items() if hasattr(named, "items") else named
    h = hashlib.sha256()
    for _, p in sorted(named, key=lambda item: item[0]):
        t = p.detach().to(device="cpu", dtype=torch.float32).contiguous()
        h.update(memory(t))
    return h.hexdigest()
