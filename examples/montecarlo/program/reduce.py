"""Adds up what the shards counted. Gets each gathered shard's output directory as an argument, writes one JSON object."""

import json
import math
import os
import sys

counts = []
for directory in sys.argv[1:]:
    with open(os.path.join(directory, "counts.json"), encoding="ascii") as f:
        counts.append(json.load(f))
points = sum(c["points"] for c in counts)
inside = sum(c["inside"] for c in counts)
share = inside / points
json.dump(
    {
        "pi": 4 * share,
        "standard_error": 4 * math.sqrt(share * (1 - share) / points),
        "points": points,
        "shards": sorted(c["shard"] for c in counts),
    },
    sys.stdout,
)
print()
