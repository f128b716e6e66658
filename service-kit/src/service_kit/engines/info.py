"""The description of an engine, and the registry that finds engines by name."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from service_kit.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Name, model and abilities of an engine; shown on `/info` and `/health`."""

    name: str
    model: str
    version: str
    # ISO 639-1; empty when the engine has no list.
    languages: tuple[str, ...] = ()
    sample_rate_hz: int | None = None
    # Further facts for people, such as a licence or a limit.
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    # Fields of the speaking style that a text-to-speech engine follows: pace, warmth, humour, energy.
    style_fields: tuple[str, ...] = ()


@runtime_checkable
class DependentEngine(Protocol):
    """An engine that depends on an external server, which may stop and return."""

    def unavailability(self) -> AsyncIterator[str]:
        """Yield the reason why the engine cannot work, on every change; empty when it can. Used inside its lifespan."""
        ...


def engine_class(registry: Mapping[str, str], name: str) -> Any:
    """Import the class registered under `name`; `registry` is `{"name": "module:Class"}`.

    Only that engine's module is imported. Raises `InvalidRequest` for an unknown name.
    """
    try:
        module, _, attribute = registry[name].partition(":")
    except KeyError:
        raise InvalidRequest("engine.unknown", f"no engine {name!r}; there are {', '.join(sorted(registry))}") from None
    return getattr(importlib.import_module(module), attribute)
