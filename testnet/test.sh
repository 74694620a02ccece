#!/usr/bin/env bash
# Every test. Needs what setup.sh installs, and bin/ as `make build` leaves it; says what it is at.
set -euo pipefail
cd "$(dirname "$0")/.."
export GONOSUMDB="${GONOSUMDB:-github.com/blinklabs-io/*}"
export TALLY_BIN="$PWD/bin"
say() { echo "test: $*"; }
for program in tally tally-devnet; do
  [ -x "bin/$program" ] || { echo "test: bin/$program is missing: run  make build" >&2; exit 1; }
done

say "images (built once, and reused)"
go test -count=1 -timeout 20m ./testnet/images

say "the devnet's own module"
go test -C testnet/devnet -count=1 -timeout 20m ./...

say "unit tests, contracts, real node, real containers"
packages=$(go list ./... | grep -v -e '/testnet$' -e '/testnet/images$')
# shellcheck disable=SC2086
go test -count=1 -timeout 40m $packages

say "end to end: the demo, smaller; alone, for it has deadlines to meet"
go test -count=1 -timeout 40m ./testnet
say "all passed"
