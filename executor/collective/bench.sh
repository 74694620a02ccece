#!/usr/bin/env bash
# Times the collectives against plaintext Gloo and over emulated long lines, and writes bench/collectives.json. Fetches
# Debian's Gloo, without installing it, where it is missing. A look at some rows, which writes nothing: BENCH_ONLY is a pattern
# of them (64MB/n=4, 1KB/*, memory, wan/*, topology/*), and BENCH_WIRE what they travel as (f32,plain).
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "bench-collectives needs root, for the network namespaces of its long lines: sudo make bench-collectives" >&2; exit 1; }
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
flags=()
if [ ! -e /usr/include/gloo/allreduce.h ]; then
  echo "bench-collectives: fetching libgloo-dev"
  (cd "$tmp" && apt-get -qq download libgloo-dev libgloo0 libhiredis0.14 libibverbs1 libnl-3-200 libnl-route-3-200 2>/dev/null &&
    for d in ./*.deb; do dpkg -x "$d" .; done) || { echo "bench-collectives needs Gloo: apt-get install libgloo-dev" >&2; exit 1; }
  flags=(-I"$tmp/usr/include" -Wl,--disable-new-dtags)
  for dir in "$tmp/usr/lib" "$tmp/usr/lib/$(gcc -print-multiarch)" "$tmp/lib/$(gcc -print-multiarch)"; do
    flags+=(-L"$dir" -Wl,-rpath,"$dir")
  done
fi
echo "bench-collectives: compiling the anchor"
g++ -O3 -march=native -std=c++14 "${flags[@]}" testdata/gloobench.cc -o "$tmp/gloobench" -lgloo -lpthread
out=$(cd ../.. && pwd)/bench/collectives.json
[ -z "${BENCH_ONLY:-}${BENCH_WIRE:-}" ] || out=$tmp/collectives.json
GLOOBENCH=$tmp/gloobench BENCH_OUT=$out \
  go test -tags bench -count=1 -timeout 30m -v -run '^TestBenchCollectives$' . | grep --line-buffered -v '^=== '
