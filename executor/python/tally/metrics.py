"""Metrics as JSON lines in $OUTPUT_DIR/metrics.jsonl, one flushed line a call."""

import json
import math
import os
import threading
import time

_lock = threading.Lock()


def _plain(value):
    """A JSON value: tensors and numpy scalars by item(), non-finite floats as text."""
    if hasattr(value, "item") and callable(value.item):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def log(step=None, **values):
    """Appends one line with the time in Unix seconds, the step and the values."""
    line = {"time": round(time.time(), 3)}
    if step is not None:
        line["step"] = int(step)
    line.update((k, _plain(v)) for k, v in values.items())
    text = json.dumps(line, allow_nan=False) + "\n"
    path = os.path.join(os.environ.get("OUTPUT_DIR") or ".", "metrics.jsonl")
    with _lock, open(path, "a", encoding="utf-8") as f:
        f.write(text)
