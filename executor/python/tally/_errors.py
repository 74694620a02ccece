"""The SDK's exceptions."""


class CollectiveError(RuntimeError):
    """A collective operation, or the connection to the agent, failed."""


class LostError(CollectiveError):
    """A rank was lost, and the operation cannot be without it. The others go on: see tally.elastic."""


class StoodBy(Exception):
    """The job has ended without this rank. init() ends the program for it."""
