#!/usr/bin/env bash
# Installs what the demo and the tests need and this machine lacks, and starts the Docker engine if none answers.
# Says what it is about to do before it does it. A second run does nothing. setup.sh tests: what tests need beside, too.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps dockerd and debootstrap, and a user's PATH does not look

say() { echo "setup: $*" >&2; }
die() { echo "setup: $*" >&2; exit 4; }

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root=(sudo -n)
  elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then as_root=(sudo)
  else as_root=(false); fi
fi
root() { "${as_root[@]}" "$@"; }

missing=()
command -v dockerd >/dev/null 2>&1 || [ -S "${DOCKER_SOCKET:-/var/run/docker.sock}" ] || missing+=(docker.io)
command -v debootstrap >/dev/null 2>&1 || missing+=(debootstrap)
command -v iptables >/dev/null 2>&1 || missing+=(iptables)
if [ "${1:-}" = tests ]; then
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null 2>&1 || missing+=(postgresql)
fi
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null 2>&1 || die "needs ${missing[*]}, and this is not Debian: install them and run make again"
  [ "${as_root[*]:-}" != false ] || die "needs ${missing[*]} and may not install them: run as root  apt-get install -y ${missing[*]}  and then make again"
  say "installing ${missing[*]} from Debian's packages (about a minute)"
  start=$SECONDS
  log=$(mktemp)
  { root apt-get update -q && root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "apt-get could not install ${missing[*]}: the lines above say why"; }
  rm -f "$log"
  say "installed in $((SECONDS - start)) s"
fi

answers() { curl_docker 2>/dev/null | grep -q OK; }
curl_docker() {
  if command -v curl >/dev/null 2>&1; then curl -s --max-time 5 --unix-socket "${DOCKER_SOCKET:-/var/run/docker.sock}" http://docker/_ping
  else docker version --format OK; fi
}
if ! answers; then
  if [ -S "${DOCKER_SOCKET:-/var/run/docker.sock}" ] && [ "$(id -u)" -ne 0 ] && ! [ -w "${DOCKER_SOCKET:-/var/run/docker.sock}" ]; then
    die "you may not use the Docker engine's socket: run as root  usermod -aG docker $(id -un)  , log in again, and then make again"
  fi
  [ "${as_root[*]:-}" != false ] || die "no Docker engine answers and I may not start one: run as root  dockerd &  and then make again"
  say "no Docker engine answers on ${DOCKER_SOCKET:-/var/run/docker.sock}: starting dockerd (log: /var/log/tally-dockerd.log)"
  start=$SECONDS
  root sh -c 'setsid dockerd >/var/log/tally-dockerd.log 2>&1 </dev/null &'
  for _ in $(seq 120); do answers && break; sleep 0.5; done
  answers || { root tail -n 20 /var/log/tally-dockerd.log >&2; die "dockerd did not come up in a minute: the lines above are its log"; }
  say "dockerd answers after $((SECONDS - start)) s"
fi
