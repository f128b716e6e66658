"""Fixtures of the tests in containers, which only `make test-compose` runs: they take minutes, and need Docker."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("ANCHOR_TEST_COMPOSE") else ["test_*.py"]

if not collect_ignore_glob:
    from compose_support import containers, question

    __all__ = ["containers", "question"]
