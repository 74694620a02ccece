"""Adds up what the shards counted: their output directories are the arguments. Writes result.json to OUTPUT_DIR."""

import json
import math
import os
import sys

counts = []
for directory in sys.argv[1:]:
    with open(os.path.join(directory, "counts.json"), encoding="ascii") as f:
        counts.append(json.load(f))
points = sum(c["points"] for c in counts)
share = sum(c["inside"] for c in counts) / points
result = {
    "pi": 4 * share,
    "standard_error": 4 * math.sqrt(share * (1 - share) / points),
    "points": points,
    "shards": sorted(c["shard"] for c in counts),
}
with open(os.path.join(os.environ["OUTPUT_DIR"], "result.json"), "w", encoding="ascii") as f:
    json.dump(result, f)
print(json.dumps(result))
