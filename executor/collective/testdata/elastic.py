"""One rank of TestElasticPython: trains with tally.elastic, and says after each step what it has."""

import array
import hashlib
import sys

import tally
from tally import elastic

steps, mode = int(sys.argv[1]), sys.argv[2]
SIZE = 50_000
tally.init()
assert tally.session().elastic
place = tally.session().places[tally.rank()]
state = elastic.State(verify_every=4, step=0, weights=array.array("f", [0.25 * place]) * SIZE)  # others everywhere before run()
resets = []
state.register_reset_callbacks([lambda: resets.append((tally.rank(), tally.size()))])


@elastic.run
def train(state):
    while state.step < steps:
        gradient = array.array("f", [float((i * 7 + place * 13 + state.step) % 31 - 15) for i in range(0, SIZE, 50)]) * 50
        tally.allreduce(gradient, tally.MEAN)
        if mode == "root":  # every second step has something from the last rank, which may be lost
            late = bytearray([state.step % 256]) * 70_000
            tally.broadcast(late, tally.size() - 1)
            assert late[-1] == state.step % 256
        for i in range(0, SIZE, 500):
            state.weights[i] -= 0.01 * gradient[i]
        if mode == "odd" and place == 1 and state.step == 5:
            state.weights[7] += 1  # a bit that went wrong
        state.step += 1
        print("step", state.step, tally.size(), flush=True)
        state.commit()
    return hashlib.sha256(state.weights).hexdigest()


digest = train(state)
print("done", digest, tally.size(), resets, flush=True)
tally.shutdown()
