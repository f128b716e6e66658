"""Which reporters the settings select."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_monitor.memory.self_report import Reporter
from gpu_monitor.reporters import build_reporters
from gpu_monitor.settings import GpuSettings


def named(asked: Sequence[Reporter]) -> list[str]:
    return [reporter.service for reporter in asked]


def test_reporters_follow_the_settings():
    own = {"services": {"tts-service": "a:1"}}
    assert named(build_reporters(GpuSettings.model_validate(own))) == ["tts-service"]
    assert named(build_reporters(GpuSettings.model_validate({**own, "profile": "gpu"}))) == ["tts-service", "ollama"]
    with_vllm = {**own, "vllm_url": "http://b:2"}
    assert named(build_reporters(GpuSettings.model_validate(with_vllm))) == ["tts-service", "stt-service"]
