"""Fits a line to points, in a job that goes on when a machine is lost, with a spare in its place if there is one.

Each step takes half a second, so that there is time to kill a provider and look on. What is left says the line, and with
how many ranks it was found.
"""

import array
import hashlib
import os
import time

import tally
from tally import elastic, metrics

STEPS = int(os.environ["STEPS"])
POINTS = 96

tally.init()  # a spare waits here until it is called in; if it never is, this ends it
state = elastic.State(step=0, ranks=[], line=array.array("d", [0.0, 0.0]))


def point(i):
    """The i-th point of a line with slope 3 through -1."""
    x = (i * 37 % POINTS) / POINTS * 2 - 1
    return x, 3 * x - 1


@elastic.run
def fit(state):
    while state.step < STEPS:
        # each rank takes its share of the points, by its rank as it is now
        total = array.array("d", [0.0, 0.0, 0.0])
        for i in range(tally.rank(), POINTS, tally.size()):
            x, y = point(i)
            miss = state.line[0] * x + state.line[1] - y
            total[0] += miss * x
            total[1] += miss
            total[2] += miss * miss
        tally.allreduce(total, tally.SUM, tally.F64)
        state.line[0] -= 0.1 * total[0] / POINTS
        state.line[1] -= 0.1 * total[1] / POINTS
        state.step += 1
        if state.ranks[-1:] != [tally.size()]:
            state.ranks.append(tally.size())
        metrics.log(step=state.step, loss=total[2] / POINTS, ranks=tally.size(), parameter_hash=hashlib.sha256(state.line).hexdigest())
        time.sleep(0.5)
        state.commit()  # a step boundary: ranks that were lost are left out from here on, and spares are in


fit(state)
with open(os.path.join(os.environ["OUTPUT_DIR"], "line.txt"), "w") as f:
    f.write("y = %.2f x %+.2f\n" % (state.line[0], state.line[1]))
with open(os.path.join(os.environ["OUTPUT_DIR"], "ranks.txt"), "w") as f:
    f.write(" ".join(str(n) for n in state.ranks))
