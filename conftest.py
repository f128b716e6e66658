"""Fixtures of all suites."""

# The folder `orchestrator/` would otherwise be taken for the package of its tests, and hide the real one.
import orchestrator  # noqa: F401

pytest_plugins = ["service_kit.testing.plugin"]
