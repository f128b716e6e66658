"""Fixtures of all suites."""

import os

# The folder `orchestrator/` would otherwise be taken for the package of its tests, and hide the real one.
import orchestrator  # noqa: F401

pytest_plugins = ["service_kit.testing.plugin"]

# Tests that need the default set of models say so; the others start engines that load at once.
os.environ.setdefault("ANCHOR_MODELS", "minimal")
