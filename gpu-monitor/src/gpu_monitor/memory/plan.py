"""The memory plan the services were started with, as written to a JSON file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import NonNegativeInt, TypeAdapter


@dataclass(frozen=True, slots=True)
class PlannedMemory:
    """What one service was given, in bytes."""

    service: str
    model: str
    weights_bytes: NonNegativeInt = 0
    kv_cache_bytes: NonNegativeInt = 0
    activations_bytes: NonNegativeInt = 0
    context_bytes: NonNegativeInt = 0

    @property
    def total_bytes(self) -> int:
        """All of it together."""
        return self.weights_bytes + self.kv_cache_bytes + self.activations_bytes + self.context_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What all services were given; nothing when nothing was planned."""

    services: tuple[PlannedMemory, ...] = ()

    @property
    def by_service(self) -> dict[str, int]:
        """Bytes by service, all its entries together."""
        total: Counter[str] = Counter()
        for planned in self.services:
            total[planned.service] += planned.total_bytes
        return dict(total)


_PLAN = TypeAdapter(Plan)


def read_plan(path: Path | None) -> Plan:
    """The plan in the JSON file at `path` (`{"services": [{"service": ..., "model": ..., "weights_bytes": ...}]}`).

    Empty without a path and while the file does not exist. Raises `pydantic.ValidationError` when it holds
    something else, and `OSError` when it cannot be read.
    """
    if path is None or not path.exists():
        return Plan()
    return _PLAN.validate_json(path.read_bytes())
