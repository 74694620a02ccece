"""DistributedOptimizer: any torch optimizer whose gradients are those of all ranks."""

import contextlib

import torch

from . import _core, _tensors, _wire
from ._arena import ALIGN
from ._core import MEAN, SUM


class Lost:
    """What was lost of each bucket of gradients, which is added the next time: as many bytes as the gradients. Where the ranks,
    their arenas or the parameters are others than before, that is forgotten: part of it is of sums that other ranks made."""

    def __init__(self):
        self._of, self._kept = None, {}

    def of(self, *layout):
        """What is kept of buckets that are laid out so."""
        if layout != self._of:
            self._of, self._kept = layout, {}
        return self._kept


class Distributed:
    """Mixed in before an optimizer's own class; step() first reduces the gradients."""

    _tally_op = MEAN
    _tally_names = None
    _tally_skip = False
    _tally_wire = _wire.AS_IT_IS
    _tally_lost = None  # with compression

    def step(self, closure=None):
        if closure is not None:
            def reduced():
                loss = closure()
                self.synchronize()
                return loss

            result = super().step(reduced)
        else:
            if not self._tally_skip:
                self.synchronize()
            result = super().step()
        return result

    @contextlib.contextmanager
    def skip_synchronize(self):
        """For gradients that synchronize() has already reduced, and that were changed since (clipping)."""
        self._tally_skip = True
        try:
            yield
        finally:
            self._tally_skip = False

    def synchronize(self):
        """Reduces all gradients over the ranks, through one flat buffer in the arena.

        A parameter that has a gradient on some rank gets the reduced one on all,
        zeros standing for the missing; one that has none anywhere stays without.
        """
        session = _core.session()
        if session.size == 1:
            return
        params = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        self._tally_check(params)
        _Reduction(session, params, self._tally_op, self._tally_wire, self._tally_lost).run()

    def _tally_check(self, params):
        for i, p in enumerate(params):
            if p.grad is None:
                bad = p.dtype if p.dtype != torch.float32 else None
            elif p.grad.is_sparse:
                bad = "sparse"
            else:
                bad = p.grad.dtype if p.grad.dtype != torch.float32 else None
            if bad is not None:
                name = (self._tally_names or {}).get(id(p), "number %d" % i)
                raise TypeError("the gradient of parameter %s is %s: DistributedOptimizer reduces dense float32" % (name, bad))
            if p.grad is not None and not p.grad.is_contiguous():
                p.grad = p.grad.contiguous()


class _Reduction:
    """One pass: [a flag per parameter | all gradients] in buckets the arena holds."""

    def __init__(self, session, params, op, wire=_wire.AS_IT_IS, lost=None):
        self.session, self.params, self.op, self.wire, self.lost = session, params, op, wire, lost
        self.flags = torch.tensor([0.0 if p.grad is None else 1.0 for p in params])

    def run(self):
        sources = [(None, self.flags.numel())] + [(p, p.numel()) for p in self.params]
        room = self.session.chunk // 4 // (1 if self.lost is None else 2)
        if self.lost is not None:
            self.kept = self.lost.of(self.session.epoch, room, [n for _, n in sources])
        handles, bucket, filled = [], [], 0
        for index, (_, count) in enumerate(sources):
            at = 0
            while at < count:
                take = min(count - at, room - filled)
                bucket.append((index, at, take, filled))
                at, filled = at + take, filled + take
                # The flags travel alone where they would be rounded, and would set the scale for their neighbours.
                if filled == room or (index == 0 and at == count and self.wire != _wire.AS_IT_IS):
                    handles.append(self.start(bucket, filled, len(handles)))
                    bucket, filled = [], 0
        if bucket:
            handles.append(self.start(bucket, filled, len(handles)))
        for h in handles:
            h.wait()

    def start(self, bucket, count, number):
        wire = _wire.AS_IT_IS if bucket[0][0] == 0 else self.wire
        lost = self.kept if wire != _wire.AS_IT_IS else None
        own = (count * 4 + ALIGN - 1) // ALIGN * ALIGN  # before what was lost
        region = self.session.region(count * 4 if lost is None else own + count * 4)
        flat = _tensors.floats(self.session, region, count)
        for index, at, take, offset in bucket:
            into = flat[offset:offset + take]
            if index == 0:
                into.copy_(self.flags[at:at + take])
            elif self.params[index - 1].grad is None:
                into.zero_()
            else:
                into.copy_(self.params[index - 1].grad.detach().view(-1)[at:at + take])
        residual, keep = _wire.NONE, None
        if lost is not None:
            keep = _tensors.within(self.session, region, torch.float32, count, own)
            if number in lost:
                keep.copy_(lost[number])
            else:
                keep.zero_()
            residual = region.offset + own

        def finish():
            for index, at, take, offset in bucket:
                self.write_back(index, at, flat[offset:offset + take])
            if keep is not None:
                lost[number] = keep.clone()

        return self.session.allreduce_region(region, count * 4, self.op, finish, wire=wire, residual=residual)

    def write_back(self, index, at, values):
        if index == 0:
            self.flags[at:at + values.numel()] = values
            return
        p = self.params[index - 1]
        if p.grad is None:
            if self.flags[index - 1] == 0:
                return
            p.grad = torch.zeros_like(p, memory_format=torch.contiguous_format)
        p.grad.detach().view(-1)[at:at + values.numel()].copy_(values)


def distribute(optimizer, named_parameters=None, op=MEAN, backward_passes_per_step=1, wire=_wire.AS_IT_IS):
    """Gives the optimizer itself the behaviour of Distributed and returns it."""
    if isinstance(optimizer, Distributed):
        raise ValueError("this optimizer is distributed already")
    if "step" in optimizer.__dict__:
        raise ValueError("something has replaced this optimizer's step(): make the learning rate scheduler after DistributedOptimizer")
    if op not in (MEAN, SUM):
        raise ValueError("gradients are averaged or summed: op must be Average or Sum")
    if backward_passes_per_step < 1:
        raise ValueError("backward_passes_per_step must be at least 1")
    own = optimizer.__class__
    optimizer.__class__ = type("Distributed" + own.__name__, (Distributed, own), {})
    optimizer._tally_op, optimizer._tally_wire = op, wire
    optimizer._tally_lost = None if wire == _wire.AS_IT_IS else Lost()
    optimizer._tally_names = {id(p): name for name, p in named_parameters or []}
    return optimizer
