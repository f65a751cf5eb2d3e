#!/bin/sh
# Sets this checkout up: `sh scripts/setup.sh run|test`. Everything done once is remembered in .venv/.ready-*.
#
#   1. Linux, and a Python of 3.11 or newer ($PYTHON, else what is in PATH)
#   2. system packages that are missing, each named with its reason; asks unless root or YES=1
#   3. .venv from the hash lock, then this package itself (editable, nothing downloaded for it)
#   4. the model: one question at the very first `run` (CARAPAX_MODEL answers it), then its weights
#
# YES=1 ask nothing · NO_MODEL=1 leave the weights out · CARAPAX_MODEL=PROVIDER[:MODEL] use another model
set -eu
cd "$(dirname "$0")/.."

kind=${1:-run}
case $kind in
  run) lock=requirements/run.lock ;;
  test) lock=requirements/dev.lock ;;
  *) printf 'usage: sh scripts/setup.sh run|test\n' >&2; exit 2 ;;
esac

say() { printf '  %-11s %s\n' "$1" "$2"; }

stop() { # what happened, then what to do, a line each
  for line in "$@"; do printf '%s\n' "$line" >&2; done
  exit 1
}

log=
trap '[ -z "$log" ] || rm -f "$log"' EXIT

# Runs a command quietly; when it fails, says why in words: no network, no space, or its own last lines.
quietly() { # what was tried, command…
  tried=$1
  shift
  log=$(mktemp) || stop "There is no room for a temporary file." "Free some space in ${TMPDIR:-/tmp}, then run this again."
  if "$@" >"$log" 2>&1; then
    rm -f "$log"
    log=
    return 0
  fi
  printf '%s failed.\n' "$tried" >&2
  if grep -qiE 'no space left|disk quota' "$log"; then
    stop "The disk is full. What was fetched is kept." "Free some space, then run this again."
  fi
  if grep -qiE 'resolv|name or service|unreachable|connection|timed out|could not connect|failed to fetch|newconnectionerror' "$log"; then
    tail -n 3 "$log" >&2
    stop "The network did not answer. What was fetched is kept." "Check the connection (or the proxy settings), then run this again."
  fi
  if grep -qi 'do not match the hashes' "$log"; then
    stop "A package is not the one that was locked; it was not installed." "Run this again; if it stays so, do not trust the source it came from."
  fi
  tail -n 8 "$log" >&2
  stop "Correct what is named above, then run this again."
}

need_linux() {
  system=$(uname -s)
  [ "$system" = Linux ] && return 0
  stop "Carapax runs on Linux; this is $system." \
    "Missing here: user namespaces (bubblewrap), seccomp, Landlock and cgroups. Without them there is no shell around the agent." \
    "Run it in a Linux machine: WSL 2 on Windows, a virtual machine on macOS or BSD."
}

find_python() {
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      python=$candidate
      return 0
    fi
  done
  stop "Python 3.11 or newer was not found." \
    "Install it (Debian 12, Ubuntu 24.04: \`apt-get install python3\`), or name one: \`PYTHON=/path/to/python3 make $kind\`."
}

loads() { "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" >/dev/null 2>&1; }

want() { # package, reason
  missing="$missing $1"
  reasons="$reasons
    $1: $2"
}

find_missing() {
  missing=
  reasons=
  command -v bwrap >/dev/null 2>&1 || want bubblewrap "the sandbox that every tool runs in"
  loads libseccomp.so.2 || want libseccomp2 "the sandbox's list of allowed system calls"
  loads libgomp.so.1 || want libgomp1 "the embedded model computes on several cores with it"
  if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    case $python in
      *python3.[0-9]*) want "$(basename "$python")-venv" "makes the environment (.venv) that everything else goes into" ;;
      *) want python3-venv "makes the environment (.venv) that everything else goes into" ;;
    esac
  fi
}

become_root() {
  as_root=
  [ "$(id -u)" = 0 ] && return 0
  command -v sudo >/dev/null 2>&1 || stop "This needs root, and there is no sudo." "$1"
  as_root=sudo
}

agree() { # question; root and YES=1 have agreed
  [ "$(id -u)" = 0 ] || [ "${YES:-}" = 1 ] || {
    [ -t 0 ] || stop "Nobody is here to ask." "Run it again with YES=1 to agree, or do the above yourself."
    printf '%s [Y/n] ' "$1"
    read -r answer || answer=n
    case $answer in '' | [yYoO]*) ;; *) stop "Nothing was installed." ;; esac
  }
}

install_missing() {
  find_missing
  [ -n "$missing" ] || return 0
  printf 'These system packages are missing:%s\n' "$reasons"
  command -v apt-get >/dev/null 2>&1 ||
    stop "This system has no apt-get." "Install the same with its own package tool (the names are close to these), then run this again."
  become_root "As root: apt-get install$missing"
  agree "Install them with apt-get?"
  # shellcheck disable=SC2086 # a list of words
  quietly "apt-get update" $as_root env DEBIAN_FRONTEND=noninteractive apt-get update
  # shellcheck disable=SC2086
  quietly "apt-get install$missing" $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
  installed=$missing
  find_missing
  [ -z "$missing" ] || stop "Still missing after the installation:$missing" "Install these by hand, then run this again."
  say system "installed:$installed"
}

# Ubuntu 24.04 lets no ordinary user make a namespace unless a profile names the program.
allow_namespaces() {
  bwrap --unshare-user --ro-bind / / true >/dev/null 2>&1 && return 0
  [ "$(cat "${USERNS_SWITCH:-/proc/sys/kernel/apparmor_restrict_unprivileged_userns}" 2>/dev/null)" = 1 ] || return 0
  profile=${APPARMOR_DIR:-/etc/apparmor.d}/carapax-bwrap
  [ -e "$profile" ] && return 0
  bwrap=$(command -v bwrap)
  printf 'This system lets only named programs make user namespaces, and the sandbox is made of one.\n'
  printf 'One file names bubblewrap: %s\n' "$profile"
  become_root "As root, allow it by a profile for $bwrap with the rule \`userns,\`."
  agree "Write it?"
  printf 'abi <abi/4.0>,\nprofile carapax-bwrap %s flags=(unconfined) {\n  userns,\n}\n' "$bwrap" |
    $as_root tee "$profile" >/dev/null
  quietly "apparmor_parser" $as_root apparmor_parser -r "$profile"
  say system "allowed: user namespaces for $bwrap"
}

make_environment() {
  key=$(cat "$lock" pyproject.toml scripts/setup.sh | cksum)
  key="$key $PWD $("$python" -c 'import sys; print(*sys.version_info[:2], sys.platform)')"
  if [ -x .venv/bin/carapax ] && [ "$(cat ".venv/.ready-$kind" 2>/dev/null)" = "$key" ]; then
    return 0
  fi
  free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
  [ "${free_kib:-0}" -ge 1000000 ] || stop "The environment needs 1 GB here; $((${free_kib:-0} / 1024)) MB are free." "Free some space, then run this again."
  install_missing
  rm -f .venv/.ready-*
  if ! .venv/bin/python -c 'import pip, sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    rm -rf .venv
    quietly "Making .venv" "$python" -m venv .venv
  fi
  say packages "installing from $lock, each checked by its hash (a minute or two the first time)"
  quietly "Installing the packages" .venv/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes -r "$lock"
  quietly "Installing carapax" .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
  # The lock of the tests holds everything that running needs.
  [ "$kind" = run ] || printf '%s\n' "$(cat requirements/run.lock pyproject.toml scripts/setup.sh | cksum) ${key#* * }" >.venv/.ready-run
  printf '%s\n' "$key" >".venv/.ready-$kind"
  say packages "ready"
}

prepare_model() {
  read=$(cat carapax/agent/small/* carapax/adapters/tools/*/manifest.toml 2>/dev/null | cksum)
  read="$read ${CARAPAX_MODELS:-${CARAPAX_HOME:-}} ${LC_ALL:-${LANG:-}}"
  [ "$(cat .venv/.prepared 2>/dev/null)" = "$read" ] && return 0
  .venv/bin/python scripts/prepare_model.py
  printf '%s\n' "$read" >.venv/.prepared
}

fetch_model() {
  provider=embedded
  if [ "$kind" = run ]; then
    provider=$(.venv/bin/carapax model --choose --provider) || stop "The model was not chosen." "Run this again, or set CARAPAX_MODEL."
  fi
  [ "${NO_MODEL:-}" != 1 ] || return 0
  case $provider in
    '' | embedded)
      .venv/bin/python scripts/fetch_model.py
      prepare_model
      ;;
  esac
}

need_linux
find_python
make_environment
command -v bwrap >/dev/null 2>&1 || install_missing
[ "$(id -u)" = 0 ] || allow_namespaces
fetch_model
