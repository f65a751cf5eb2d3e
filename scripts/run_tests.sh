#!/bin/sh
# Every test, in two halves at once: one mostly computes, the other mostly waits for processes and servers.
# `sh scripts/run_tests.sh`: prints the second half's output when the first is over; fails when either fails.
set -eu
cd "$(dirname "$0")/.."

computing='unit golden properties architecture claims'
rest=
for folder in tests/*/; do
  name=$(basename "$folder")
  case " $computing fakes __pycache__ " in *" $name "*) ;; *) rest="$rest tests/$name" ;; esac
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # lists of words
.venv/bin/python -m pytest -o cache_dir=.pytest_cache/rest $rest >"$log" 2>&1 &
other=$!
trap 'kill "$other" 2>/dev/null || true; rm -f "$log"' EXIT INT TERM
failed=0
# shellcheck disable=SC2046
.venv/bin/python -m pytest $(for name in $computing; do printf 'tests/%s ' "$name"; done) || failed=1
wait "$other" || failed=1
cat "$log"
exit "$failed"
