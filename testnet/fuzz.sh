#!/usr/bin/env bash
# Runs every fuzz target for a time each (default 20s), one after another. A target without a committed corpus fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export GONOSUMDB="${GONOSUMDB:-github.com/blinklabs-io/*}"
time=${1:-20s}
bare=()
run() { # module directory
  local dir=$1 package path target targets
  for package in $(go list -C "$dir" ./...); do
    path=$(go list -C "$dir" -f '{{.Dir}}' "$package")
    targets=$(go test -C "$dir" -list '^Fuzz' "$package" | grep '^Fuzz' || true)
    for target in $targets; do
      [ -d "$path/testdata/fuzz/$target" ] || bare+=("$package $target")
      echo "fuzz: $package $target for $time"
      go test -C "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
    done
  done
}
run .
run testnet/devnet
if [ "${#bare[@]}" -gt 0 ]; then
  printf 'fuzz: no corpus in testdata/fuzz: %s\n' "${bare[@]}" >&2
  exit 1
fi
