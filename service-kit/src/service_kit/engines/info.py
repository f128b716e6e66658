"""What all engines have in common: a description, and a registry that finds them by name."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from service_kit.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and can do; shown on `/info` and `/health`."""

    name: str
    model: str
    version: str
    # ISO 639-1; empty when the engine does not care.
    languages: tuple[str, ...] = ()
    sample_rate_hz: int | None = None
    # Anything else a person should know, such as a licence or a limit.
    notes: Mapping[str, str] = field(default_factory=dict[str, str])


@runtime_checkable
class DependentEngine(Protocol):
    """An engine that leans on a server, which may go away and come back."""

    def unavailability(self) -> AsyncIterator[str]:
        """What it lacks to do its work, whenever that changes; empty for nothing. Begins inside its lifespan."""
        ...


def engine_class(registry: Mapping[str, str], name: str) -> Any:
    """Import the class that `registry` (`{"name": "module:Class"}`) holds under `name`.

    Only the chosen engine's module is imported. Raises `InvalidRequest` for a name that is not registered.
    """
    try:
        module, _, attribute = registry[name].partition(":")
    except KeyError:
        raise InvalidRequest("engine.unknown", f"no engine {name!r}; there are {', '.join(sorted(registry))}") from None
    return getattr(importlib.import_module(module), attribute)
