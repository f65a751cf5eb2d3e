#!/bin/sh
# What the tests run beyond the set-up: the other tiers of walls, clients that must work through the proxy, and the
# servers and libraries on the other side of channels.
# `sh scripts/test_tools.sh`: installs what is missing with apt-get, as root; asks nothing. A second run does nothing.
set -eu
cd "$(dirname "$0")/.."

missing=
want() { # package, command
  command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

want runsc runsc                    # the strong tier
want gcc cc                         # builds the launcher
want git git                        # clients behind the proxy
want curl curl
want nodejs node
want npm npm
want chromium chromium
want iproute2 ip                    # namespaces of the tests' own
want procps ps
want prosody prosody                # servers that the channels talk to
want ngircd ngircd
want dovecot-imapd dovecot
want postfix postfix
[ -e /usr/lib/postgresql ] || missing="$missing postgresql" # several gateways on one database
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ "$(uname -m)" != x86_64 ] || want qemu-system-x86 qemu-system-x86_64 # the disposable tier

if [ -n "$missing" ]; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  printf 'The tests need:%s\n' "$missing"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # shellcheck disable=SC2086 # a list of words
  if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 8 "$log" >&2
    printf 'Installing them failed. Install them by hand, then run this again.\n' >&2
    exit 1
  fi
fi
[ "$(uname -m)" != x86_64 ] || sh scripts/guest_kernel.sh "${CARAPAX_GUEST_KERNEL:-$HOME/.cache/carapax-guest}"

# The other side of channels, in an environment of its own: Matrix's server, and libraries of the platforms' makers.
lock=$(cksum <requirements/peers.lock)
if [ "$(cat .venv-peers/.ready 2>/dev/null)" != "$lock" ]; then
  rm -rf .venv-peers
  .venv/bin/python -m venv .venv-peers
  .venv-peers/bin/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r requirements/peers.lock
  printf '%s\n' "$lock" >.venv-peers/.ready
fi
