"""Ways to ask services what they hold, as the settings name them."""

from __future__ import annotations

from gpu_monitor.memory.self_report import Reporter
from gpu_monitor.reporters.engine_memory import EngineMemoryReporter
from gpu_monitor.reporters.model_servers import OllamaReporter, VllmReporter
from gpu_monitor.settings import GpuSettings


def reporters(settings: GpuSettings) -> list[Reporter]:
    """One for each service to ask. Ollama is asked by the profiles that bring it."""
    asked: list[Reporter] = [EngineMemoryReporter(service, target) for service, target in settings.services.items()]
    if settings.profile != "embedded":
        asked.append(OllamaReporter(settings.ollama_url))
    if settings.vllm_url:
        asked.append(VllmReporter(settings.vllm_url))
    return asked
