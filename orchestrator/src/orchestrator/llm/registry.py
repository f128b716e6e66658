"""The language models there are, by the name that settings use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from service_kit.engines.info import engine_class

from orchestrator.conversation.model.ports import LanguageModel

# Each reads its own settings from the environment. The briefing is not among them: it is built from the knowledge
# folder and always there, because it stands in for the others.
LANGUAGE_MODELS = {
    "ollama": "orchestrator.llm.ollama.engine:OllamaModel",
    "openai": "orchestrator.llm.openai:OpenAiModel",
    "scripted": "orchestrator.llm.scripted:ScriptedModel",
}
BRIEFING = "briefing"


class ServedModel(LanguageModel, AbstractAsyncContextManager[Any], Protocol):
    """A language model that may be away; it has its connections for as long as its context lasts."""

    @property
    def model(self) -> str:
        """The weights, as their server names them; empty when there are none."""
        ...

    async def probe(self) -> None:
        """Raise `AnchorError` unless it would answer now."""
        ...

    def describe(self) -> Mapping[str, object]:
        """How it is, for people; with its `stage` and `progress` where it must be loaded."""
        ...


@runtime_checkable
class ParkableModel(Protocol):
    """A served model that can give its memory back."""

    @property
    def parked(self) -> bool: ...

    async def park(self) -> None:
        """Give it back. Raises `AnchorError`; nobody may be waiting for a reply."""
        ...

    async def wake(self) -> None:
        """Take it again. Raises `AnchorError`."""
        ...


def served_model(name: str) -> ServedModel:
    """The model of this name, not yet opened.

    Raises `InvalidRequest` for a name that is not known, `pydantic.ValidationError` for settings that do not fit.
    """
    engine: Any = engine_class({**LANGUAGE_MODELS, BRIEFING: ""}, name)
    return engine.from_environment()
