#!/usr/bin/env bash
# Runs every fuzz target for a time each (default 20s), one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
export GONOSUMDB="${GONOSUMDB:-github.com/blinklabs-io/*}"
time=${1:-20s}
run() { # module directory
  local dir=$1 package target targets
  for package in $(go list -C "$dir" ./...); do
    targets=$(go test -C "$dir" -list '^Fuzz' "$package" | grep '^Fuzz' || true)
    for target in $targets; do
      echo "fuzz: $package $target for $time"
      go test -C "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
    done
  done
}
run .
run testnet/devnet
