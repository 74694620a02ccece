"""Sessions and operations on plain buffers, with the standard library alone."""

import atexit
import copy
import os
import struct
import sys
import threading

from . import _wire
from ._arena import ALIGN, Allocator
from ._errors import CollectiveError, LostError, StoodBy
from ._wire import BF16, F16, F32, F64, I32, I64, U8

SUM, MEAN, MIN, MAX, PROD = range(5)
DEFAULT_SOCKET = "/run/tally/agent.sock"


class Region:
    """A piece of the arena. free() gives it back; view is a writable memoryview."""

    def __init__(self, session, offset, nbytes):
        self._session, self.offset, self.nbytes = session, offset, nbytes

    @property
    def view(self):
        return memoryview(self._session.arena)[self.offset:self.offset + self.nbytes]

    def free(self):
        if self._session is not None:
            self._session._give_back(self.offset)
            self._session = None


class Handle:
    """An operation under way. wait() finishes it once and is harmless after that."""

    def __init__(self, session, seq, regions, finish):
        self._session, self._seq, self._regions, self._finish = session, seq, regions, finish
        self._lock = threading.Lock()
        self._over, self._error, self.result, self.reply = False, None, None, None

    def done(self):
        with self._lock:
            return self._over or self._session._link.done(self._seq)

    def wait(self):
        with self._lock:
            if not self._over:
                try:
                    self.reply = self._session._link.wait(self._seq)
                    self.result = self._finish() if self._finish else None
                except CollectiveError as e:
                    self._error = e
                finally:
                    self._over, self._finish = True, None
                    for r in self._regions:
                        r.free()
                    self._session._forget(self)
        if self._error is not None:
            raise self._error
        return self.result


class Session:
    """One rank of a group: the link to the agent and the arena shared with it."""

    def __init__(self, link):
        self._link = link
        self.arena = link.arena
        self.rank, self.size = link.rank, link.size
        self.local_rank, self.local_size = link.local_rank, link.local_size
        self.job = link.job
        self._allocator = Allocator(link.arena_bytes)
        self._lock = threading.RLock()
        self._pending = []
        self._group = 0
        self.elastic, self.epoch = link.elastic, link.epoch
        self.places = list(range(self.size))  # of each rank, in the job
        self._measure()

    def _measure(self):
        """What one operation may take must not depend on this rank's own arena."""
        self.limit = self._link.arena_bytes
        sizes = self.allgather(struct.pack("<Q", self._link.arena_bytes))
        self.limit = min(struct.unpack("<Q", s)[0] for s in sizes)
        # The largest operation that still leaves room for another; an elastic one keeps its source.
        self.chunk = max(ALIGN, self.limit // (4 if self.elastic else 2) // ALIGN * ALIGN)

    def admit(self):
        """A step boundary, which all ranks come to with nothing else under way: ranks that were lost are left out from now
        on, and new ones are in. Whether the ranks have changed, which all of them are told alike."""
        while self._pending:
            try:
                self._pending[0].wait()
            except CollectiveError:
                pass  # its owner is told when it waits
        made = self.start(_wire.ADMIT, [])
        made.wait()
        numbers = struct.unpack("<%dI" % (len(made.reply.body) // 4), made.reply.body)
        self.rank, self.places, self.size = numbers[0], list(numbers[1:]), len(numbers) - 1
        changed, self.epoch = made.reply.epoch != self.epoch, made.reply.epoch
        if changed:
            self._measure()
        return changed

    def region(self, nbytes):
        """Reserves nbytes of the arena; finishes operations under way for it if it must."""
        while True:
            with self._lock:
                offset = self._allocator.alloc(nbytes)
                oldest = self._pending[0] if self._pending else None
            if offset is not None:
                return Region(self, offset, nbytes)
            if oldest is None:
                raise CollectiveError("no room for %d bytes in an arena of %d" % (nbytes, len(self.arena)))
            try:
                oldest.wait()
            except CollectiveError:
                pass  # its owner is told when it waits

    def _give_back(self, offset):
        with self._lock:
            self._allocator.free(offset)

    def _forget(self, handle):
        with self._lock:
            if handle in self._pending:
                self._pending.remove(handle)

    def start(self, op, regions, finish=None, **command):
        """Submits a command; regions are freed once finish() has run after it."""
        try:
            handle = Handle(self, self._link.submit(op, group=self._group, **command), regions, finish)
        except CollectiveError:
            for r in regions:
                r.free()
            raise
        with self._lock:
            self._pending.append(handle)
        return handle

    def allreduce_region(self, region, nbytes, op, finish=None, dtype=F32, wire=_wire.AS_IT_IS, residual=_wire.NONE, name="", shape=()):
        """Starts an allreduce in place; the region is freed at its end. In an elastic job the result lies beside it first, so
        that the operation can be done again."""
        regions, out = [region], region
        if self.elastic:
            out = self.region(nbytes)
            regions.append(out)

        def moved():
            if out is not region:
                self.arena.move(region.offset, out.offset, nbytes)
            return finish() if finish else None

        return self.start(_wire.ALLREDUCE, regions, moved, reduce=op, dtype=dtype, wire=wire, residual=residual, name=name, shape=shape,
                          src=region.offset, dst=out.offset, src_bytes=nbytes, dst_bytes=nbytes)

    def allreduce(self, buffer, op=SUM, dtype=F32, wire=_wire.AS_IT_IS, name=""):
        """Replaces a writable buffer's values by their sum (or mean, min, max, product) over all ranks."""
        view = flat(buffer)
        if view.nbytes % _wire.ITEM[dtype]:
            raise CollectiveError("allreduce of %d bytes, no multiple of %d" % (view.nbytes, _wire.ITEM[dtype]))
        for at in range(0, view.nbytes or 1, self.chunk):
            part = view[at:at + self.chunk]
            region = self.region(part.nbytes)
            region.view[:] = part

            def finish():
                part[:] = region.view

            self.allreduce_region(region, part.nbytes, op, finish, dtype, wire, name=name).wait()

    def broadcast(self, buffer, root=0, name=""):
        """Replaces the bytes of a writable buffer by the root's."""
        if not 0 <= root < self.size:
            raise CollectiveError("broadcast from rank %d of %d" % (root, self.size))
        view = flat(buffer)
        for at in range(0, view.nbytes or 1, self.chunk):
            part = view[at:at + self.chunk]
            region = self.region(part.nbytes)
            if self.rank == root:
                region.view[:] = part

            def finish():
                if self.rank != root:
                    part[:] = region.view

            self.start(_wire.BROADCAST, [region], finish, root=root, dst=region.offset, dst_bytes=part.nbytes, name=name).wait()

    def _rounds(self, op, view, counts, received, name="", largest=0, **command):
        """Runs an operation on parts, in as many rounds as the arena makes of the largest of any rank; gives what was received."""
        # In each round every part is cut to a piece; sources and destinations of all ranks fit together.
        piece = self.limit // 2 // (2 * self.size + 1) // ALIGN * ALIGN or ALIGN
        out = [bytearray() for _ in received]
        for k in range(max(1, -(-(largest or max(counts + received)) // piece))):
            def cut(n):
                return max(0, min(n - k * piece, piece))

            sends, gets = [cut(n) for n in counts], [cut(n) for n in received]
            src, dst = self.region(sum(sends)), self.region(sum(gets))
            at = filled = 0
            for n, part in zip(counts, sends):
                src.view[filled:filled + part] = view[at + k * piece:at + k * piece + part]
                at, filled = at + n, filled + part

            def finish():
                start = 0
                for buffer, n in zip(out, gets):
                    buffer += dst.view[start:start + n]
                    start += n

            parts = {_wire.ALLGATHER: gets, _wire.REDUCESCATTER: sends, _wire.ALLTOALL: sends + gets}[op]
            self.start(op, [src, dst], finish, src=src.offset, dst=dst.offset, src_bytes=sum(sends), dst_bytes=sum(gets),
                       name=name, parts=parts, **command).wait()
        return out

    def _parts(self, view, counts, item=1):
        counts = [view.nbytes // self.size] * self.size if counts is None else [int(n) for n in counts]
        if len(counts) != self.size or sum(counts) != view.nbytes or any(n < 0 or n % item for n in counts):
            raise CollectiveError("%d bytes in parts of %r for %d ranks" % (view.nbytes, counts, self.size))
        return counts

    def start_parts(self, op, view, counts, received, finish, largest, name=""):
        """Starts an allgather or alltoall of parts; finish(parts) makes its result of what was received. None where it is
        too large for the arena of some rank, whose largest part this is."""
        if largest * (2 * self.size + 1) > self.chunk:
            return None
        src, dst = self.region(sum(counts)), self.region(sum(received))
        src.view[:sum(counts)] = view

        def parts():
            start, all_parts = 0, []
            for n in received:
                all_parts.append(bytes(dst.view[start:start + n]))
                start += n
            return finish(all_parts)

        return self.start(op, [src, dst], parts, src=src.offset, dst=dst.offset, src_bytes=sum(counts), dst_bytes=sum(received), name=name,
                          parts=received if op == _wire.ALLGATHER else counts + received)

    def allgather(self, data, counts=None, name=""):
        """Every rank's bytes, in rank order; counts are their lengths, which are the same unless given."""
        view = flat(data)
        counts = [view.nbytes] * self.size if counts is None else [int(n) for n in counts]
        if len(counts) != self.size or counts[self.rank] != view.nbytes:
            raise CollectiveError("allgather of %d bytes, where rank %d of %r has others" % (view.nbytes, self.rank, counts))
        return [bytes(b) for b in self._rounds(_wire.ALLGATHER, view, [view.nbytes], counts, name)]

    def allgather_varied(self, data):
        """Every rank's bytes, in rank order, of any length each."""
        view = flat(data)
        lengths = [struct.unpack("<Q", b)[0] for b in self.allgather(struct.pack("<Q", view.nbytes))]
        return self.allgather(view, lengths)

    def reducescatter(self, buffer, counts=None, op=SUM, dtype=F32, name=""):
        """This rank's part of the sum (or mean, min, max, product); counts are all parts' bytes, equal unless given."""
        view = flat(buffer)
        counts = self._parts(view, counts, _wire.ITEM[dtype])
        return bytes(self._rounds(_wire.REDUCESCATTER, view, counts, [counts[self.rank]], name, reduce=op, dtype=dtype)[0])

    def alltoall(self, data, counts=None, name=""):
        """What every rank has for this one, in rank order; counts are the bytes for each rank, equal unless given."""
        view = flat(data)
        counts = self._parts(view, counts)
        table = [struct.unpack("<%dQ" % self.size, row) for row in self.allgather(struct.pack("<%dQ" % self.size, *counts))]
        largest = max(max(row) for row in table)
        return [bytes(b) for b in self._rounds(_wire.ALLTOALL, view, counts, [row[self.rank] for row in table], name, largest)]

    def send(self, data, to):
        """Gives one rank bytes, which it receives in the order in which they are sent."""
        view = flat(data)
        for at in range(0, view.nbytes or 1, self.chunk):
            part = view[at:at + self.chunk]
            region = self.region(part.nbytes)
            region.view[:] = part
            self.start(_wire.SEND, [region], root=to, src=region.offset, src_bytes=part.nbytes).wait()

    def receive(self, buffer, source):
        """Fills a writable buffer with what one rank sends, which has its length."""
        view = flat(buffer)
        for at in range(0, view.nbytes or 1, self.chunk):
            part = view[at:at + self.chunk]
            region = self.region(part.nbytes)

            def finish():
                part[:] = region.view

            self.start(_wire.RECEIVE, [region], finish, root=source, dst=region.offset, dst_bytes=part.nbytes).wait()

    def group(self, ranks):
        """A process group of some ranks, which becomes their session in it. All of them call this, and nobody else."""
        ranks = list(ranks)
        if self.rank not in ranks:
            raise CollectiveError("rank %d is not among %r" % (self.rank, ranks))
        part = copy.copy(self)  # one arena, one connection
        made = self.start(_wire.GROUP, [], parts=ranks)
        made.wait()
        part._group = made.reply.value
        part.rank, part.size = ranks.index(self.rank), len(ranks)
        return part

    def barrier(self, name=""):
        """Returns when every rank has called it."""
        self.start(_wire.BARRIER, [], name=name).wait()

    def close(self, goodbye=True):
        self._link.close(goodbye)


def flat(buffer):
    """A buffer's bytes as one flat memoryview."""
    view = memoryview(buffer)
    if not view.contiguous:
        raise CollectiveError("the buffer is not contiguous")
    return view.cast("B") if view.nbytes else memoryview(bytearray())


_lock = threading.RLock()
_session = None
_crashed = False
_hooked = False


def _connect():
    named = os.environ.get("TALLY_SOCKET")
    path = named or DEFAULT_SOCKET
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise CollectiveError("the agent's socket cannot be reached: %s" % e) from e
    else:
        return _wire.Agent(path)
    if named:
        raise CollectiveError("TALLY_SOCKET names %s, and nothing is there" % path)
    world = os.environ.get("WORLD_SIZE", "1")
    if world.strip() not in ("", "0", "1"):
        raise CollectiveError("WORLD_SIZE is %s, but there is no agent at %s" % (world, path))
    return _wire.Alone()


def _watch_for_crash():
    """An uncaught exception must abort the group, not say goodbye to it."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    before = sys.excepthook

    def hook(kind, value, trace):
        global _crashed
        _crashed = True
        before(kind, value, trace)

    sys.excepthook = hook
    atexit.register(_at_exit)


def _at_exit():
    try:
        shutdown(goodbye=not _crashed)
    except CollectiveError as e:
        print("tally: leaving the group: %s" % e, file=sys.stderr)


def init():
    """Joins the group through this rank's agent, or makes a group of one where there is none.

    In a spare it returns when the spare takes a lost rank's place. If the job ends before, so does the program, with exit
    code 0.
    """
    global _session
    with _lock:
        if _session is None:
            try:
                _session = Session(_connect())
            except StoodBy:
                print("tally: the job has ended; this spare stood by", file=sys.stderr, flush=True)
                raise SystemExit(0) from None
            _watch_for_crash()
        return _session


def shutdown(goodbye=True):
    """Leaves the group. At the interpreter's exit it is called by itself."""
    global _session
    with _lock:
        s, _session = _session, None
    if s is not None:
        s.close(goodbye)


def is_initialized():
    """Whether init() was called and shutdown() was not."""
    return _session is not None


def session():
    """The session init() made."""
    s = _session
    if s is None:
        raise CollectiveError("call init() first")
    return s


def rank():
    """This process's place in the group, from 0."""
    return session().rank


def size():
    """The number of ranks."""
    return session().size


def local_rank():
    """This rank's place among those on its machine."""
    return session().local_rank


def local_size():
    """The number of ranks on this machine."""
    return session().local_size


def allreduce(buffer, op=SUM, dtype=F32, wire=_wire.AS_IT_IS, name=""):
    """See Session.allreduce."""
    session().allreduce(buffer, op, dtype, wire, name)


def broadcast(buffer, root=0, name=""):
    """See Session.broadcast."""
    session().broadcast(buffer, root, name)


def allgather(data, counts=None, name=""):
    """See Session.allgather."""
    return session().allgather(data, counts, name)


def reducescatter(buffer, counts=None, op=SUM, dtype=F32, name=""):
    """See Session.reducescatter."""
    return session().reducescatter(buffer, counts, op, dtype, name)


def alltoall(data, counts=None, name=""):
    """See Session.alltoall."""
    return session().alltoall(data, counts, name)


def send(data, to):
    """See Session.send."""
    session().send(data, to)


def receive(buffer, source):
    """See Session.receive."""
    session().receive(buffer, source)


def group(ranks):
    """See Session.group."""
    return session().group(ranks)


def barrier(name=""):
    """See Session.barrier."""
    session().barrier(name)
