"""Settings from the environment."""

from __future__ import annotations

import pytest
from gpu_monitor.settings import GpuSettings
from pydantic import ValidationError


def test_memory_limit_is_in_gibibytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPU_MEMORY_LIMIT_GB", "46")
    assert GpuSettings().memory_budget_bytes == 46 * 1024**3


def test_no_memory_limit_means_no_budget():
    assert GpuSettings().memory_budget_bytes is None


@pytest.mark.parametrize("limit", ["0", "-4", "much"])
def test_invalid_memory_limit_is_rejected(monkeypatch: pytest.MonkeyPatch, limit: str):
    monkeypatch.setenv("GPU_MEMORY_LIMIT_GB", limit)
    with pytest.raises(ValidationError, match="memory_limit_gb"):
        GpuSettings()


def test_services_are_parsed_as_json(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GPU_SERVICES", '{"tts-service": "tts-service:9083"}')
    assert GpuSettings().services == {"tts-service": "tts-service:9083"}
    monkeypatch.setenv("GPU_SERVICES", "{}")
    assert GpuSettings().services == {}
