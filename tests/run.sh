#!/usr/bin/env bash
# Runs the whole suite with coverage of every process it starts, by two workers (conftest.py says who takes what). Arguments
# go to pytest, with one worker: tests/run.sh vad-service/tests -q
set -euo pipefail
cd "$(dirname "$0")/.."

# Coverage starts in every Python process that inherits these variables, and writes one file for each process.
export COVERAGE_PROCESS_START="$PWD/pyproject.toml" COVERAGE_FILE="$PWD/run/coverage/data"
rm -rf run/coverage && mkdir -p run/coverage
# Hundreds of processes import the same modules: the first one keeps them compiled.
unset PYTHONDONTWRITEBYTECODE

status=0
workers=(--numprocesses 2 --durations 20)
[[ $# -eq 0 ]] || workers=()
.venv/bin/python -m pytest "${workers[@]}" "$@" || status=$?

unset COVERAGE_PROCESS_START
# A process killed by a test may leave an empty file.
find run/coverage -type f -empty -delete
.venv/bin/coverage combine --quiet
if [[ $# -gt 0 ]]; then
  .venv/bin/coverage report
else
  .venv/bin/coverage report --fail-under=85 || status=$?
fi
printf 'The suite took %d.%d minutes.\n' $((SECONDS / 60)) $((SECONDS % 60 / 6))
exit "$status"
