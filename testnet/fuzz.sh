#!/usr/bin/env bash
# Runs every fuzz target for a time each (default 10s), one after another, and names those that failed, with the command
# that fails again: the input is left in the target's testdata/fuzz. A target without a committed corpus fails too.
set -euo pipefail
cd "$(dirname "$0")/.."
export GONOSUMDB="${GONOSUMDB:-github.com/blinklabs-io/*}"
time=${1:-10s}
count=0
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fuzz() { # module directory, package, target
  # Without a bound, making a large input small takes the target's whole time.
  go test -C "$1" -run '^$' -fuzz "^$3\$" -fuzztime "$time" -fuzzminimizetime 1s "$2" | tee "$log"
}
# Go before 1.27 may take the end of the time for a failure (golang/go#75804), of which nothing is left but this line.
outOfTime() { grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written' "$log"; }
run() { # module directory
  local dir=$1 package path target targets
  for package in $(go list -C "$dir" ./...); do
    path=$(go list -C "$dir" -f '{{.Dir}}' "$package")
    grep -qs '^func Fuzz' "$path"/*_test.go || continue
    targets=$(go test -C "$dir" -list '^Fuzz' "$package" | grep '^Fuzz') || failed+=("$package does not say its targets")
    for target in $targets; do
      count=$((count + 1))
      [ -d "$path/testdata/fuzz/$target" ] || failed+=("$package $target has no corpus in testdata/fuzz")
      echo "fuzz: $package $target for $time"
      fuzz "$dir" "$package" "$target" || { outOfTime && fuzz "$dir" "$package" "$target"; } ||
        failed+=("$package $target; again: go test -C $dir -run '^$target\$' $package")
    done
  done
}
run .
run testnet/devnet
echo "fuzz: $((count - ${#failed[@]})) passed, ${#failed[@]} failed"
if [ "${#failed[@]}" -gt 0 ]; then
  printf 'fuzz: FAILED %s\n' "${failed[@]}" >&2
  exit 1
fi
