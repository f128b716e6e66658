"""Fixtures of the local language model's process."""

pytest_plugins = ["service_kit.testing.plugin"]
