"""Fixtures of all suites, and the order in which the workers of pytest-xdist take them."""

from __future__ import annotations

import os
from typing import Any

import pytest

# The folder `orchestrator/` would otherwise be taken for the package of its tests, and hide the real one.
import orchestrator  # noqa: F401

pytest_plugins = ["service_kit.testing.plugin"]

# Tests that need the default set of models say so; the others start engines that load at once.
os.environ.setdefault("ANCHOR_MODELS", "minimal")
# Tests that need a store name a file of their own; the others leave nothing behind.
os.environ.setdefault("ORCHESTRATOR_STORE", "off")

END_TO_END = "tests/e2e/"
# These files talk to the mesh of the session: in one worker, it starts once.
WITH_SHARED_MESH = {f"{END_TO_END}test_{name}.py" for name in ("barge_in", "conversation", "launcher", "readme")}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker takes a file at a time; two take the end-to-end tests, which mostly wait, and run first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if not file.startswith(END_TO_END):
                return file
            return "shared mesh" if file in WITH_SHARED_MESH else "other meshes"

    # Otherwise the files with the most tests run first, and the end-to-end tests, few and slow, last.
    config.option.loadscopereorder = False
    return Scheduling(config, log)
