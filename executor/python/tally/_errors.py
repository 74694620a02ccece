"""The SDK's one exception."""


class CollectiveError(RuntimeError):
    """A collective operation, or the connection to the agent, failed."""
