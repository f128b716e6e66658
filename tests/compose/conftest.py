"""Fixtures of the tests in containers, which `make test-compose` asks for: they take minutes, and a Docker engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# What these tests share stands beside them.
sys.path.insert(0, str(Path(__file__).parent))

collect_ignore_glob = [] if os.environ.get("ANCHOR_TEST_COMPOSE") else ["test_*.py"]

if not collect_ignore_glob:
    from compose_support import containers, question

    __all__ = ["containers", "question"]
