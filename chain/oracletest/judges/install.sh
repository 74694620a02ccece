#!/usr/bin/env bash
# Installs the judges that package-lock.json pins. They are programs of others: they stay in node_modules.
set -euo pipefail
cd "$(dirname "$0")"
for program in node npm; do
  command -v "$program" >/dev/null || { echo "the judges need Node.js 20 or newer with npm: https://nodejs.org" >&2; exit 4; }
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || { echo "the judges need Node.js 20 or newer, this is $(node --version): https://nodejs.org" >&2; exit 4; }
npm ci --silent --no-fund --no-audit
