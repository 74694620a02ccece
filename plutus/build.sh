#!/usr/bin/env bash
# Compiles and tests the contracts. plutus.json is what is deployed; traced.json is the same with a trace before every
# check, run locally to name the check that refused.
#
#   build.sh                        compile both, and record in sources.sha256 what they were compiled from
#   build.sh --check                compile both elsewhere, and fail if they are not the committed ones
#   build.sh --if-changed [--check] the same, but do nothing if sources.sha256 says that nothing has changed
#
# Nobody needs the compiler to build or run Tally: the blueprints are committed. It is installed if it is missing.
set -euo pipefail
cd "$(dirname "$0")"

version=$(sed -n 's/^compiler = "v\(.*\)"$/\1/p' contracts/aiken.toml)
check= if_changed=
for arg; do
  case $arg in
    --check) check=1 ;;
    --if-changed) if_changed=1 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
done

# The compiler's version is in aiken.toml, so these are all that the blueprints depend on, and the blueprints.
sources() {
  find contracts -path contracts/build -prune -o -type f \( -name '*.ak' -o -name 'aiken.*' \) -print | LC_ALL=C sort |
    xargs sha256sum plutus.json traced.json
}

if [[ $if_changed ]] && sources | cmp -s - sources.sha256; then
  echo "contracts: unchanged"
  exit 0
fi

export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if [[ $(aiken --version 2>/dev/null) != "aiken v$version"* ]]; then
  cargo install aiken --version "$version" --locked
fi

aiken fmt --check contracts
# Compiling a property costs as much as ten samples of it; the compiled contracts are held against more (make contracts).
aiken check --deny --max-success 10 contracts >/dev/null || { aiken check --deny --max-success 10 contracts; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r contracts "$tmp/contracts"
rm -rf "$tmp/contracts/build"
(cd "$tmp/contracts" && aiken build --deny --trace-level silent --out ../plutus.json &&
  aiken build --deny --trace-level verbose --trace-filter user-defined --out ../traced.json)

if [[ $check ]]; then
  for f in plutus.json traced.json; do
    diff -q "$f" "$tmp/$f" || { echo "contracts: $f is not what its sources compile to; run plutus/build.sh" >&2; exit 1; }
  done
  sources | diff - sources.sha256 || { echo "contracts: sources.sha256 is stale; run plutus/build.sh" >&2; exit 1; }
  echo "contracts: the committed blueprints are what the sources compile to"
else
  cp "$tmp/plutus.json" "$tmp/traced.json" .
  sources >sources.sha256
  sed -n 's/^ *"title": "\(.*\.\(mint\|else\)\)",$/\1/p' plutus.json | sort -u
fi
