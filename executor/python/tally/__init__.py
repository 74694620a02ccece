"""What a job on Tally imports.

``tally`` works on plain buffers with the standard library alone; ``tally.torch``
has Horovod's names for PyTorch; ``tally.metrics`` writes metrics.jsonl.
"""

from ._core import (
    BF16,
    F16,
    F32,
    F64,
    I32,
    I64,
    MAX,
    MEAN,
    MIN,
    PROD,
    SUM,
    U8,
    CollectiveError,
    LostError,
    allgather,
    allreduce,
    alltoall,
    barrier,
    broadcast,
    group,
    init,
    is_initialized,
    local_rank,
    local_size,
    rank,
    receive,
    reducescatter,
    send,
    session,
    shutdown,
    size,
)

__all__ = [
    "BF16", "F16", "F32", "F64", "I32", "I64", "MAX", "MEAN", "MIN", "PROD", "SUM", "U8", "CollectiveError", "LostError",
    "allgather", "allreduce", "alltoall", "barrier", "broadcast", "group", "init", "is_initialized",
    "local_rank", "local_size", "rank", "receive", "reducescatter", "send", "session", "shutdown", "size",
]
