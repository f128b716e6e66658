"""The language models there are, by the name that settings use."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from service_kit.engine import engine_class

from orchestrator.conversation.ports import LanguageModel

# Read from the environment by each engine itself and opened as a context. The briefing is not among them: it is
# built from the knowledge folder and always there, because it stands in for the others.
LANGUAGE_MODELS = {
    "ollama": "orchestrator.llm.ollama:OllamaModel",
    "openai": "orchestrator.llm.openai:OpenAiModel",
    "scripted": "orchestrator.llm.scripted:ScriptedModel",
}
BRIEFING = "briefing"


@asynccontextmanager
async def open_language_model(name: str, briefing: LanguageModel) -> AsyncGenerator[LanguageModel]:
    """The model of this name, with its connections for as long as the context lasts.

    Raises `InvalidRequest` for a name that is not known, `pydantic.ValidationError` for settings that do not fit.
    """
    if name == BRIEFING:
        yield briefing
        return
    engine: Any = engine_class({**LANGUAGE_MODELS, BRIEFING: ""}, name)
    async with engine.from_environment() as model:
        yield model
