#!/usr/bin/env bash
# Says, in a sentence, which of the stated prerequisites is missing: Go, gcc, make.
set -u
fail=0
need() { command -v "$1" >/dev/null 2>&1 || { echo "tally needs $1: $2" >&2; fail=1; }; }
need go "install Go 1.21 or newer from https://go.dev/dl (it fetches the toolchain that go.mod names by itself)"
need gcc "sudo apt-get install gcc"
need make "sudo apt-get install make"
if command -v go >/dev/null 2>&1; then
  v=$(go env GOVERSION 2>/dev/null); v=${v#go}
  major=${v%%.*}; rest=${v#*.}; minor=${rest%%[.r-]*}
  if [ "${major:-0}" -lt 1 ] || { [ "$major" -eq 1 ] && [ "${minor:-0}" -lt 21 ]; }; then
    echo "tally needs Go 1.21 or newer, this is Go $v: see https://go.dev/dl" >&2; fail=1
  fi
fi
exit $fail
