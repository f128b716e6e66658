"""The language models by their names in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from service_kit.engines.info import engine_class

from orchestrator.conversation.model.ports import LanguageModel

# Each reads its own settings from the environment. The briefing is not among them: the composition root builds it from
# the knowledge folder in any case, because it is the fallback of the others; and so the local model, which answers from
# that folder.
LANGUAGE_MODELS = {
    "ollama": "orchestrator.llm.ollama.engine:OllamaModel",
    "openai": "orchestrator.llm.openai:OpenAiModel",
    "scripted": "orchestrator.llm.scripted:ScriptedModel",
}
BRIEFING = "briefing"
LOCAL = "local"


class ServedModel(LanguageModel, AbstractAsyncContextManager[Any], Protocol):
    """A language model on a server, which may be unreachable; its connections last as long as its context."""

    @property
    def model(self) -> str:
        """The model's name at its server; empty when it has none."""
        ...

    async def probe(self) -> None:
        """Raise `AnchorError` unless the model can answer now."""
        ...

    def describe(self) -> Mapping[str, object]:
        """Return its state for `/health` and `/info`, with `stage` and `progress` of a model that is loaded."""
        ...


@runtime_checkable
class ParkableModel(Protocol):
    """A served model whose memory can be freed."""

    @property
    def parked(self) -> bool: ...

    async def park(self) -> None:
        """Free the model's memory. No reply may be in progress. Raises `AnchorError`."""
        ...

    async def wake(self) -> None:
        """Load the model again. Raises `AnchorError`."""
        ...


def served_model(name: str) -> ServedModel:
    """Create the model of this name, not yet opened.

    Raises `InvalidRequest` for an unknown name, `pydantic.ValidationError` for invalid settings.
    """
    engine: Any = engine_class({**LANGUAGE_MODELS, BRIEFING: "", LOCAL: ""}, name)
    return engine.from_environment()
