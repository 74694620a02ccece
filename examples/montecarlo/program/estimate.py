"""Estimates pi from random points, a share of them in each shard. Plain Python, no packages."""

import json
import os
import random

index = int(os.environ["SHARD_INDEX"])
points = int(os.environ.get("POINTS", "2000000"))
rng = random.Random(7919 * (index + 1))
inside = sum(rng.random() ** 2 + rng.random() ** 2 <= 1.0 for _ in range(points))
with open(os.path.join(os.environ["OUTPUT_DIR"], "counts.json"), "w", encoding="ascii") as f:
    json.dump({"shard": index, "points": points, "inside": inside}, f)
print(f"shard {index}: {inside} of {points} points inside")
