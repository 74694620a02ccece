"""The gate's protocol: one unix socket, 64-byte commands, 32-byte replies.

The agent's package documentation (executor/collective) is the specification.
"""

import array
import mmap
import os
import select
import socket
import struct
import threading
import typing

from ._errors import CollectiveError, StoodBy, LostError

VERSION = 3
NOTHING, ALLREDUCE, BROADCAST, ALLGATHER, BARRIER, GOODBYE, REDUCESCATTER, ALLTOALL, SEND, RECEIVE, GROUP, ADMIT = range(12)
F32, F64, F16, BF16, I32, I64, U8 = range(7)
ITEM = {F32: 4, F64: 8, F16: 2, BF16: 2, I32: 4, I64: 8, U8: 1}  # bytes of an element
AS_IT_IS, AS_BF16, AS_INT8, AS_TOPK = range(4)  # what float32 travels as
NONE = (1 << 64) - 1  # no residual

_MAGIC = b"TLYG"
_COMMAND = struct.Struct("<BBBBIHBBIQQQQQHH4x")
_REPLY = struct.Struct("<IIQQI4x")
_HELLO = struct.Struct("<4sHHIIIIQIIBB6xQ8x")
_LOST = 4
_STATUS = {1: "refused", 2: "failed", 3: "the agent hung up", _LOST: "lost"}
_MAX_BODY = 2048


def top_k(share):
    """The wire format in which each rank sends this share of its values, above 0 and below 1: the largest."""
    of_65536 = round(share * 65536)
    if not 0 < of_65536 < 65536:
        raise ValueError("the share of values that travel is above 0 and below 1, not %r" % (share,))
    return AS_TOPK | of_65536 << 8


def encode(op, seq, reduce=0, dtype=F32, wire=AS_IT_IS, root=0, group=0, src=0, dst=0, src_bytes=0, dst_bytes=0,
           residual=NONE, name="", shape=(), parts=()):
    """A command's bytes. wire is a format, or what top_k() gives."""
    text = name.encode()
    if len(text) > 255 or len(shape) > 8:
        raise CollectiveError("%r: a name has at most 255 bytes, a tensor 8 dimensions" % name)
    return _COMMAND.pack(op, reduce, dtype, wire & 255, seq, root, len(text), len(shape), group, src, dst, src_bytes, dst_bytes,
                         residual, len(parts), wire >> 8) + text + struct.pack("<%dQ" % (len(shape) + len(parts)), *shape, *parts)


class Reply(typing.NamedTuple):
    """What a command came to: status 0 is done; the body is a text otherwise."""

    status: int
    value: int
    epoch: int
    body: bytes


class Agent:
    """The connection to this rank's agent. Thread-safe; several commands may be in flight."""

    def __init__(self, path):
        self.path = path
        self._pid = os.getpid()
        self._replies = {}
        self._sent = 0  # commands; guarded by _send
        self._received = 0  # replies; guarded by _receive
        self._broken = None
        self._send = threading.Lock()
        self._receive = threading.Lock()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.connect(path)
            self._greet()
        except OSError as e:
            self._sock.close()
            raise CollectiveError("connecting to the agent at %s: %s" % (path, e)) from e
        except BaseException:
            self._sock.close()
            raise

    def _greet(self):
        self._sock.sendall(struct.pack("<4sH10x", _MAGIC, VERSION))
        data, fds = b"", []
        while len(data) < _HELLO.size:
            # recvmsg as socket.recv_fds does, but the rest of the hello may come later
            part, control, _, _ = self._sock.recvmsg(_HELLO.size - len(data), socket.CMSG_SPACE(struct.calcsize("i")))
            for level, kind, body in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    got = array.array("i")
                    got.frombytes(body[: len(body) - len(body) % got.itemsize])
                    fds.extend(got)
            if not part:
                raise CollectiveError("the agent at %s closed the connection in its hello (another client, or another version?)" % self.path)
            data += part
        (magic, version, name, self.rank, self.size, self.local_rank, self.local_size,
         self.arena_bytes, self.in_flight, self.align, elastic, over, self.epoch) = _HELLO.unpack(data)
        self.elastic = bool(elastic)
        try:
            if magic != _MAGIC or version != VERSION:
                raise CollectiveError("the agent speaks version %d of %r, this SDK version %d" % (version, magic, VERSION))
            if over:
                raise StoodBy
            if len(fds) != 1:
                raise CollectiveError("the agent sent %d descriptors, want 1" % len(fds))
            self.job = self._read(name).decode("utf-8", "replace")
            self.arena = mmap.mmap(fds[0], self.arena_bytes)
        finally:
            for fd in fds:
                os.close(fd)

    def _read(self, n):
        data = bytearray()
        while len(data) < n:
            part = self._sock.recv(n - len(data))
            if not part:
                raise CollectiveError("the agent closed the connection")
            data += part
        return bytes(data)

    def submit(self, op, **command):
        """Sends one command and gives the number to wait for; see encode() for what it says."""
        if os.getpid() != self._pid:
            raise CollectiveError("the collective session belongs to the process that called init(), not to a fork of it")
        while True:
            with self._send:
                if self._broken:
                    raise CollectiveError(self._broken)
                if self._sent - self._received < self.in_flight:
                    seq = (self._sent + 1) & 0xFFFFFFFF
                    data = encode(op, seq, **command)
                    self._sent += 1
                    try:
                        self._sock.sendall(data)
                    except OSError as e:
                        self._fail("the agent is gone: %s" % e)
                    return seq
            self._pump(block=True, enough=lambda: self._sent - self._received < self.in_flight)

    def _fail(self, text):
        self._broken = self._broken or text
        raise CollectiveError(self._broken)

    def _pump(self, block, enough):
        """Reads one reply unless another thread has read enough; False when none was there and block is false."""
        with self._receive:
            if enough():
                return True
            if self._broken:
                raise CollectiveError(self._broken)
            if not block and not select.select([self._sock], [], [], 0)[0]:
                return False
            try:
                seq, status, value, epoch, size = _REPLY.unpack(self._read(_REPLY.size))
                if size > _MAX_BODY:
                    self._fail("the agent sent a reply with a body of %d bytes" % size)
                body = self._read(size)
            except (OSError, CollectiveError) as e:
                self._fail("the agent is gone: %s" % e)
            if status == 3:
                self._fail("the agent hung up: " + body.decode("utf-8", "replace"))
            self._replies[seq] = Reply(status, value, epoch, body)
            self._received += 1
            return True

    def done(self, seq):
        """Whether the reply to a command has come."""
        while seq not in self._replies:
            if not self._pump(block=False, enough=lambda: seq in self._replies):
                return False
        return True

    def wait(self, seq):
        """Waits for the reply to a command; an error in it is raised."""
        while seq not in self._replies:
            self._pump(block=True, enough=lambda: seq in self._replies)
        reply = self._replies.pop(seq)
        if reply.status:
            kind = LostError if reply.status == _LOST else CollectiveError
            raise kind("%s: %s" % (_STATUS.get(reply.status, "status %d" % reply.status), reply.body.decode("utf-8", "replace")))
        return reply

    def close(self, goodbye=True):
        """Ends the session; without a goodbye the agent aborts the group on every rank."""
        if os.getpid() != self._pid:
            return
        try:
            if goodbye and not self._broken:
                self.wait(self.submit(GOODBYE))
        finally:
            self._broken = self._broken or "the session is shut down"
            self._sock.close()


class Alone:
    """A group of one, for a script that runs without an agent."""

    rank, size, local_rank, local_size = 0, 1, 0, 1
    elastic, epoch = False, 0
    job, in_flight, align = "", 1, 64

    def __init__(self, arena_bytes=1 << 28):
        self.arena_bytes = arena_bytes
        self.arena = mmap.mmap(-1, arena_bytes)  # its pages cost nothing until touched

    def submit(self, op, src=0, dst=0, src_bytes=0, dst_bytes=0, **command):
        if dst_bytes != src_bytes and op not in (BROADCAST, BARRIER):
            raise CollectiveError("%d bytes into %d, in a group of one" % (src_bytes, dst_bytes))
        if op in (SEND, RECEIVE):
            raise CollectiveError("a message to itself, in a group of one")
        if op != BROADCAST and src != dst:
            self.arena.move(dst, src, src_bytes)
        return op

    def done(self, seq):
        return True

    def wait(self, seq):
        return Reply(0, 0, 0, struct.pack("<II", 0, 0) if seq == ADMIT else b"")

    def close(self, goodbye=True):
        pass
