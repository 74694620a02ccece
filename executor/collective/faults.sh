#!/usr/bin/env bash
# Kills, silences, cuts off and slows members of a circle, then FAULTS random faults (500), FAULT_SEED to repeat them;
# writes bench/faults-collectives.json.
set -euo pipefail
cd "$(dirname "$0")"
BENCH_OUT=$(cd ../.. && pwd)/bench/faults-collectives.json \
  go test -tags faults -count=1 -timeout 60m -v -run '^(TestFaults|TestRandomFaults)$' . | grep --line-buffered -v '^=== '
