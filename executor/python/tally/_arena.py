"""A first-fit allocator for the shared arena. Not thread-safe: its owner locks."""

ALIGN = 64


class Allocator:
    """Hands out aligned regions of [0, size) and merges those given back."""

    def __init__(self, size):
        self._free = [(0, size)]  # sorted by offset, never adjacent
        self._used = {}

    def alloc(self, nbytes):
        """The offset of a region of nbytes, or None when none is free."""
        want = max(ALIGN, (nbytes + ALIGN - 1) // ALIGN * ALIGN)
        for i, (offset, length) in enumerate(self._free):
            if length >= want:
                if length == want:
                    del self._free[i]
                else:
                    self._free[i] = (offset + want, length - want)
                self._used[offset] = want
                return offset
        return None

    def free(self, offset):
        """Gives a region back; unknown offsets are a KeyError."""
        length = self._used.pop(offset)
        regions = sorted(self._free + [(offset, length)])
        merged = [regions[0]]
        for start, more in regions[1:]:
            last, had = merged[-1]
            if last + had == start:
                merged[-1] = (last, had + more)
            else:
                merged.append((start, more))
        self._free = merged
