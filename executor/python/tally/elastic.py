"""Jobs that go on without ranks that are lost, under Horovod's names.

::

    state = elastic.TorchState(model=model, optimizer=optimizer, step=0)

    @elastic.run
    def train(state):
        while state.step < steps:
            ...
            state.step += 1
            if state.step % 10 == 0:
                state.commit()

When a rank is lost, operations under way are done again without it: sums and averages are of those who are left. At the
next commit() all ranks are told, alike: size() and rank() change, the reset callbacks run, and the function is called
again with the state as it is. Where an operation cannot be without the lost rank (a broadcast from it), it raises
LostError on all ranks, and the function is called again with the state as it was committed last.
"""

import collections
import copy
import functools
import hashlib
import struct
import sys

from . import _core, _objects
from ._errors import LostError

_ROW = struct.Struct("<Q32s")


class HostsUpdatedInterrupt(Exception):
    """The ranks have changed; commit() raises it on all of them. run() catches it."""


class State:
    """What all ranks have in common: plain data, as attributes.

    With verify_every=N, each N-th commit compares the ranks' states: a rank whose state is not what most have takes theirs,
    and every rank says so.
    """

    def __init__(self, verify_every=0, **values):
        self._names = sorted(values)
        self._commits = 0
        self._verify_every = verify_every
        self._callbacks = []
        for name, value in values.items():
            setattr(self, name, value)
        self.save()

    def register_reset_callbacks(self, callbacks):
        """Functions to call whenever the ranks have changed: to split the data anew, to scale the learning rate."""
        self._callbacks.extend(callbacks)

    def on_reset(self):
        """Calls the reset callbacks."""
        for callback in self._callbacks:
            callback()

    def save(self):
        """Remembers the state as it is, on this rank."""
        self._saved = copy.deepcopy(self._values())

    def restore(self):
        """Goes back to what was saved last, on this rank."""
        self._load(copy.deepcopy(self._saved))

    def commit(self):
        """A step boundary, which all ranks come to: saves, and raises HostsUpdatedInterrupt if the ranks have changed."""
        self._commits += 1
        self.save()
        self.check_host_updates()
        if self._verify_every and self._commits % self._verify_every == 0:
            self.sync()

    def check_host_updates(self):
        """Raises HostsUpdatedInterrupt if the ranks have changed. All ranks call it, or commit()."""
        if _core.session().admit():
            raise HostsUpdatedInterrupt("there are %d ranks now: %s of the job's" % (_core.size(), _core.session().places))

    def sync(self):
        """Gives all ranks the state of most of those that have come furthest; the ranks (in the job) that took it."""
        session = _core.session()
        packed = _objects.pack(self._values())
        mine = _ROW.pack(self._commits, hashlib.sha256(packed).digest())
        rows = session.allgather(mine)
        popular = popular_row(rows)
        holder = rows.index(popular)
        odd = [r for r, row in enumerate(rows) if row != popular]
        if not odd:
            return []
        if self._commits and len(odd) < len(rows) - 1 or self._verify_every and self._commits:
            print("tally: ranks %s have another state than rank %d and take it (commit %d)" % (
                [session.places[r] for r in odd], session.places[holder], _ROW.unpack(popular)[0]), file=sys.stderr, flush=True)
        values = _objects.broadcast_bytes(packed if session.rank == holder else None, holder)
        if mine != popular:
            self._commits = _ROW.unpack(popular)[0]
            self._load(values)
        self.save()
        return [session.places[r] for r in odd]

    def _values(self):
        return {name: getattr(self, name) for name in self._names}

    def _load(self, values):
        for name in self._names:
            setattr(self, name, values[name])


def popular_row(rows):
    """Of the states that have come furthest, the one that most ranks have; of several, the first one's."""
    furthest = max(_ROW.unpack(row)[0] for row in rows)
    counts = collections.Counter(row for row in rows if _ROW.unpack(row)[0] == furthest)
    most = max(counts.values())
    return next(row for row in rows if counts.get(row) == most)


class TorchState(State):
    """A State that has a model and an optimizer too, in place."""

    def __init__(self, model=None, optimizer=None, verify_every=0, **values):
        self._parts = {name: part for name, part in (("model", model), ("optimizer", optimizer)) if part is not None}
        self.model, self.optimizer = model, optimizer
        super().__init__(verify_every, **values)

    def _values(self):
        values = super()._values()
        values.update(("/" + name, part.state_dict()) for name, part in self._parts.items())
        return values

    def _load(self, values):
        super()._load(values)
        for name, part in self._parts.items():
            part.load_state_dict(values["/" + name])


def run(function):
    """Makes of function(state, ...) one that is called again whenever the ranks have changed, until it returns."""

    @functools.wraps(function)
    def wrapper(state, *args, **kwargs):
        _core.init()
        state.sync()
        while True:
            try:
                return function(state, *args, **kwargs)
            except HostsUpdatedInterrupt:
                pass
            except LostError:
                _core.session().admit()
                state.restore()
            state.on_reset()
            state.sync()

    return wrapper
