"""The gate's protocol: one unix socket, 32-byte commands, 16-byte replies.

The agent's package documentation (executor/collective) is the specification.
"""

import array
import mmap
import os
import select
import socket
import struct
import threading

from ._errors import CollectiveError

VERSION = 1
NOTHING, ALLREDUCE, BROADCAST, ALLGATHER, BARRIER, GOODBYE = range(6)

_MAGIC = b"TLYG"
_COMMAND = struct.Struct("<BBHIQQQ")
_REPLY = struct.Struct("<IIQ")
_HELLO = struct.Struct("<4sHHIIIIQII24x")
_STATUS = {1: "refused", 2: "failed", 3: "the agent hung up"}
_MAX_TEXT = 1024


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
         self.arena_bytes, self.in_flight, self.align) = _HELLO.unpack(data)
        try:
            if magic != _MAGIC or version != VERSION:
                raise CollectiveError("the agent speaks version %d of %r, this SDK version %d" % (version, magic, VERSION))
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

    def submit(self, op, reduce=0, root=0, src=0, dst=0, nbytes=0):
        """Sends one command and gives the number to wait for."""
        if os.getpid() != self._pid:
            raise CollectiveError("the collective session belongs to the process that called init(), not to a fork of it")
        while True:
            with self._send:
                if self._broken:
                    raise CollectiveError(self._broken)
                if self._sent - self._received < self.in_flight:
                    self._sent += 1
                    seq = self._sent & 0xFFFFFFFF
                    try:
                        self._sock.sendall(_COMMAND.pack(op, reduce, root, seq, src, dst, nbytes))
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
                seq, status, value = _REPLY.unpack(self._read(_REPLY.size))
                text = ""
                if status:
                    if value > _MAX_TEXT:
                        self._fail("the agent sent a reply with a text of %d bytes" % value)
                    text = self._read(value).decode("utf-8", "replace")
            except (OSError, CollectiveError) as e:
                self._fail("the agent is gone: %s" % e)
            if status == 3:
                self._fail("the agent hung up: " + text)
            self._replies[seq] = (status, text)
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
        status, text = self._replies.pop(seq)
        if status:
            raise CollectiveError("%s: %s" % (_STATUS.get(status, "status %d" % status), text))

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
    job, in_flight, align = "", 1, 64

    def __init__(self, arena_bytes=1 << 28):
        self.arena_bytes = arena_bytes
        self.arena = mmap.mmap(-1, arena_bytes)  # its pages cost nothing until touched

    def submit(self, op, reduce=0, root=0, src=0, dst=0, nbytes=0):
        if op in (ALLREDUCE, ALLGATHER) and src != dst:
            self.arena.move(dst, src, nbytes)
        return 0

    def done(self, seq):
        return True

    def wait(self, seq):
        pass

    def close(self, goodbye=True):
        pass
