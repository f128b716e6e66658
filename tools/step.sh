#!/usr/bin/env bash
# Runs one step of the set-up: says at once what it does, then how long it takes, and shows its output only if it fails.
#   tools/step.sh "installing the packages" pip install -r requirements.lock
# On a terminal one line counts the seconds; elsewhere a line follows every 10 s (ANCHOR_STEP_EVERY_S).
set -u
label=$1
shift
output=$(mktemp)
trap 'rm -f "$output"' EXIT
began=$SECONDS
reported=0
every=${ANCHOR_STEP_EVERY_S:-10}

"$@" >"$output" 2>&1 &
process=$!
trap 'kill "$process" 2>/dev/null; wait "$process"; exit 130' INT TERM

printf '%s ...' "$label"
[ -t 1 ] || printf '\n'
while kill -0 "$process" 2>/dev/null; do
  elapsed=$((SECONDS - began))
  if [ -t 1 ]; then
    printf '\r%s ... %d s' "$label" "$elapsed"
  elif [ $((elapsed - reported)) -ge "$every" ]; then
    reported=$elapsed
    printf '  %s: %d s so far\n' "$label" "$elapsed"
  fi
  sleep 0.2
done
wait "$process"
status=$?
[ -t 1 ] && printf '\r'
if [ "$status" -eq 0 ]; then
  printf '%s: done in %d s\n' "$label" $((SECONDS - began))
else
  printf '%s: failed with exit status %d after %d s\n' "$label" "$status" $((SECONDS - began))
  cat "$output"
fi
exit "$status"
