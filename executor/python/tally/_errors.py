"""The SDK's one exception."""


class CollectiveError(RuntimeError):
    """A collective operation, or the connection to the agent, failed."""


class LostError(CollectiveError):
    """A rank was lost, and the operation cannot be without it. The others go on: see tally.elastic."""
