"""Asks Ollama which models it has on the GPU."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from pydantic import BaseModel, NonNegativeInt, TypeAdapter

from gpu_monitor.memory.self_report import Ask, EngineState, SelfReport
from gpu_monitor.reporters.http import opened

# The server, and what it starts for each model.
COMMANDS = frozenset({"ollama", "llama-server"})


class RunningModel(BaseModel):
    """One model of `/api/ps`."""

    name: str
    # Weights, cache and scratch memory together, without the CUDA context.
    size_vram: NonNegativeInt = 0


class RunningModels(BaseModel):
    """The answer of `/api/ps`."""

    models: list[RunningModel] | None = None


_ANSWER = TypeAdapter(RunningModels)


class OllamaReporter:
    """The server at `url`. It does not tell weights from cache."""

    service = "ollama"

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> AbstractAsyncContextManager[Ask]:
        return opened(self._url, "/api/ps", self_report)


def self_report(body: bytes) -> SelfReport:
    """What `/api/ps` says."""
    models = _ANSWER.validate_json(body).models or []
    return SelfReport(
        # Unloaded models take their memory again with the next question, as what is parked does when it is woken.
        state=EngineState.AWAKE if models else EngineState.PARKED,
        models=tuple(model.name for model in models),
        other_bytes=sum(model.size_vram for model in models),
        commands=COMMANDS,
    )
