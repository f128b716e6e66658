#!/usr/bin/env bash
# Runs the whole suite by two workers (conftest.py says who takes what). Arguments go to pytest, with one worker:
# tests/run.sh vad-service/tests -q. With COVERAGE=1, the coverage of every process is measured, in twice the time.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${COVERAGE:-} ]]; then
  # Coverage starts in every Python process that inherits these variables, and writes one file for each process.
  export COVERAGE_PROCESS_START="$PWD/pyproject.toml" COVERAGE_FILE="$PWD/run/coverage/data"
  rm -rf run/coverage && mkdir -p run/coverage
fi
# Hundreds of processes import the same modules: the first one keeps them compiled.
unset PYTHONDONTWRITEBYTECODE

status=0
workers=(--numprocesses 2 --durations 20)
[[ $# -eq 0 ]] || workers=()
.venv/bin/python -m pytest "${workers[@]}" "$@" || status=$?

# After a failure, pytest's summary is the last thing on the screen.
if [[ ${COVERAGE:-} && $status -eq 0 ]]; then
  unset COVERAGE_PROCESS_START
  # A process killed by a test may leave an empty file.
  find run/coverage -type f -empty -delete
  .venv/bin/coverage combine --quiet
  minimum=(--fail-under=85)
  [[ $# -eq 0 ]] || minimum=()
  .venv/bin/coverage report "${minimum[@]}" || status=$?
fi
printf 'The suite took %d.%d minutes.\n' $((SECONDS / 60)) $((SECONDS % 60 / 6))
exit "$status"
