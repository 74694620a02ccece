"""Objects between ranks: plain data and tensors, never code.

Another rank's machine is a stranger's, so nothing here is a pickle. The bytes are
a length, a JSON tree and the tensors' values; each node of the tree is [tag, ...].
Without torch there are no tensors, and nothing else changes.
"""

import array
import json
import struct
import sys

from . import _core

_HEAD = struct.Struct("<Q")


def pack(obj):
    """An object as bytes; TypeError names the first thing in it that is not plain."""
    blobs = []
    torch = sys.modules.get("torch")  # who has a tensor has imported it

    def tree(o):
        if o is None or isinstance(o, (bool, int, float, str)):
            if type(o) not in (type(None), bool, int, float, str):
                raise TypeError("%s does not travel between ranks: only plain data and tensors do" % type(o).__name__)
            return ["p", o]
        if torch is not None and isinstance(o, torch.Tensor):
            from . import _tensors

            t = _tensors.on_cpu(o)
            blobs.append(bytes(_tensors.memory(t)))
            return ["t", str(t.dtype).split(".")[1], list(t.shape)]
        if isinstance(o, array.array):
            blobs.append(o.tobytes())
            return ["a", o.typecode, len(blobs[-1])]
        if isinstance(o, (bytes, bytearray)):
            blobs.append(bytes(o))
            return ["b", len(o)]
        if isinstance(o, dict):
            return ["d", [[tree(k), tree(v)] for k, v in o.items()]]
        for tag, kind in (("l", list), ("u", tuple), ("s", (set, frozenset))):
            if isinstance(o, kind):
                return [tag, [tree(x) for x in o]]
        raise TypeError("%s does not travel between ranks: only plain data and tensors do" % type(o).__name__)

    text = json.dumps(tree(obj)).encode()
    return _HEAD.pack(len(text)) + text + b"".join(blobs)


def unpack(data):
    """What pack() packed; ValueError for anything else."""
    view = memoryview(data)
    if len(view) < _HEAD.size:
        raise ValueError("an object of %d bytes" % len(view))
    at = _HEAD.size + _HEAD.unpack_from(view)[0]
    if at > len(view):
        raise ValueError("an object that ends early")
    root = json.loads(bytes(view[_HEAD.size:at]))

    def blob(n):
        nonlocal at
        if n < 0 or n > len(view) - at:
            raise ValueError("an object that ends early")
        at += n
        return view[at - n:at]

    def plain(node):
        tag = node[0]
        if tag == "p":
            return node[1]
        if tag == "t":
            import torch

            from . import _tensors

            dtype = getattr(torch, str(node[1]), None)
            if not isinstance(dtype, torch.dtype):
                raise ValueError("a tensor of type %r" % (node[1],))
            shape = [int(n) for n in node[2]]
            count = 1
            for n in shape:
                if n < 0:
                    raise ValueError("a tensor of shape %r" % (shape,))
                count *= n
            values = blob(count * torch.empty((), dtype=dtype).element_size())
            return _tensors.from_bytes(values, dtype, shape)
        if tag == "a":
            return array.array(str(node[1]), bytes(blob(int(node[2]))))
        if tag == "b":
            return bytes(blob(int(node[1])))
        if tag == "d":
            return {plain(k): plain(v) for k, v in node[1]}
        kinds = {"l": list, "u": tuple, "s": set}
        if tag not in kinds:
            raise ValueError("an object with a node %r" % (tag,))
        return kinds[tag](plain(x) for x in node[1])

    return plain(root)


def broadcast(obj, root=0):
    """The root's object on every rank."""
    session = _core.session()
    if session.size == 1:
        if session.rank == root:
            pack(obj)
        return obj
    mine = session.rank == root
    got = broadcast_bytes(pack(obj) if mine else None, root)
    return obj if mine else got


def broadcast_bytes(data, root):
    """The object that the root has packed, on every rank."""
    session = _core.session()
    length = bytearray(_HEAD.pack(len(data) if data is not None else 0))
    session.broadcast(length, root)
    data = bytearray(_HEAD.unpack(length)[0]) if data is None else bytearray(data)
    session.broadcast(data, root)
    return unpack(data)


def allgather(obj):
    """Every rank's object, in rank order."""
    session = _core.session()
    return [obj if r == session.rank else unpack(d) for r, d in enumerate(session.allgather_varied(pack(obj)))]
