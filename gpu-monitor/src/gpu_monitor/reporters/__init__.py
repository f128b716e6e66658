"""Clients that ask services for the GPU memory they hold."""

from __future__ import annotations

from gpu_monitor.memory.self_report import Reporter
from gpu_monitor.reporters.engine_memory import EngineMemoryReporter
from gpu_monitor.reporters.model_servers import OllamaReporter, VllmReporter
from gpu_monitor.settings import GpuSettings


def build_reporters(settings: GpuSettings) -> list[Reporter]:
    """One reporter per configured service; Ollama only in profiles that run it."""
    reporters: list[Reporter] = [EngineMemoryReporter(service, target) for service, target in settings.services.items()]
    if settings.profile != "embedded":
        reporters.append(OllamaReporter(settings.ollama_url))
    if settings.vllm_url:
        reporters.append(VllmReporter(settings.vllm_url))
    return reporters
