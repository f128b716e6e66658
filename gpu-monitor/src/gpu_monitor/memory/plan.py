"""The memory plan that the services were started with, read from a JSON file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import NonNegativeInt, TypeAdapter


@dataclass(frozen=True, slots=True)
class PlannedMemory:
    """Memory planned for one service, in bytes."""

    service: str
    model: str
    weights_bytes: NonNegativeInt = 0
    kv_cache_bytes: NonNegativeInt = 0
    activations_bytes: NonNegativeInt = 0
    context_bytes: NonNegativeInt = 0

    @property
    def total_bytes(self) -> int:
        """Sum of all parts."""
        return self.weights_bytes + self.kv_cache_bytes + self.activations_bytes + self.context_bytes


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The planned memory of all services; empty without a plan."""

    services: tuple[PlannedMemory, ...] = ()

    @property
    def bytes_by_service(self) -> dict[str, int]:
        """Total bytes by service; entries of one service are summed."""
        total: Counter[str] = Counter()
        for planned in self.services:
            total[planned.service] += planned.total_bytes
        return dict(total)

    @property
    def context_bytes_by_service(self) -> dict[str, int]:
        """Bytes of the CUDA context by service: that of one process, however many models it runs."""
        contexts: dict[str, int] = {}
        for planned in self.services:
            contexts[planned.service] = max(contexts.get(planned.service, 0), planned.context_bytes)
        return contexts


_PLAN = TypeAdapter(MemoryPlan)


def read_plan(path: Path | None) -> MemoryPlan:
    """Read the JSON file at `path` (`{"services": [{"service": ..., "model": ..., "weights_bytes": ...}]}`).

    Returns an empty plan without a path or file. Raises `pydantic.ValidationError` for invalid content, and
    `OSError` when the file cannot be read.
    """
    if path is None or not path.exists():
        return MemoryPlan()
    return _PLAN.validate_json(path.read_bytes())
