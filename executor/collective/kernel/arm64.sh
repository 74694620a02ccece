#!/usr/bin/env bash
# Runs the kernels' tests as arm64, emulated. Fetches Debian's qemu-user-static, without installing it, where it is missing.
set -euo pipefail
cd "$(dirname "$0")"
qemu=$(command -v qemu-aarch64-static || true)
if [ -z "$qemu" ]; then
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  echo "kernels-arm64: fetching qemu-user-static"
  (cd "$tmp" && apt-get -qq download qemu-user-static 2>/dev/null && dpkg -x qemu-user-static_*.deb .) ||
    { echo "kernels-arm64 needs qemu-aarch64-static: apt-get install qemu-user-static" >&2; exit 1; }
  qemu=$tmp/usr/bin/qemu-aarch64-static
fi
GOARCH=arm64 go vet .
GOARCH=arm64 go test -count=1 -exec "$qemu" .
