#!/usr/bin/env bash
# The whole suite with coverage of every process it starts, a file at a time on each of two workers: most of it waits.
# Arguments go to pytest, and then there is one worker: tests/run.sh vad-service/tests -q
set -euo pipefail
cd "$(dirname "$0")/.."

# Coverage begins by itself in every Python process that inherits these, and writes one file for each.
export COVERAGE_PROCESS_START="$PWD/pyproject.toml" COVERAGE_FILE="$PWD/run/coverage/data"
rm -rf run/coverage && mkdir -p run/coverage

status=0
workers=(--numprocesses 2 --dist loadfile)
[[ $# -eq 0 ]] || workers=()
.venv/bin/python -m pytest "${workers[@]}" "$@" || status=$?

unset COVERAGE_PROCESS_START
# A process that a test killed may leave an empty file.
find run/coverage -type f -empty -delete
.venv/bin/coverage combine --quiet
if [[ $# -gt 0 ]]; then
  .venv/bin/coverage report
else
  .venv/bin/coverage report --fail-under=85 || status=$?
fi
exit "$status"
