"""One rank of TestPythonCrashAbortsTheGroup: rank 1 dies of an exception, rank 0 waits for it."""

import sys

import tally

tally.init()
if sys.argv[1] == "1":
    raise RuntimeError("no more disk")
tally.barrier()
