"""What a job on Tally imports.

``tally`` works on plain buffers with the standard library alone; ``tally.torch``
has Horovod's names for PyTorch; ``tally.metrics`` writes metrics.jsonl.
"""

from ._core import (
    MAX,
    MEAN,
    MIN,
    SUM,
    CollectiveError,
    allgather,
    allreduce,
    barrier,
    broadcast,
    init,
    is_initialized,
    local_rank,
    local_size,
    rank,
    session,
    shutdown,
    size,
)

__all__ = [
    "MAX", "MEAN", "MIN", "SUM", "CollectiveError",
    "allgather", "allreduce", "barrier", "broadcast", "init", "is_initialized",
    "local_rank", "local_size", "rank", "session", "shutdown", "size",
]
