"""What a service says that it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

from service_kit.engines.memory import MemoryKind


class EngineState(IntEnum):
    """Whether an engine holds its memory; the numbers are the contract's."""

    UNKNOWN = 0
    AWAKE = 1
    PARKED = 2
    MOVING = 3


@dataclass(frozen=True, slots=True)
class SelfReport:
    """One answer of a service. Bytes are those of all devices together."""

    state: EngineState = EngineState.AWAKE
    models: tuple[str, ...] = ()
    parts: Mapping[MemoryKind, int] = field(default_factory=dict[MemoryKind, int])
    # Of unknown kind.
    other_bytes: int = 0
    # Whether that is all it holds.
    complete: bool = True
    # 0 to 1; None where it does not tell.
    kv_cache_used_share: float | None = None
    # 12 to 64 hexadecimal digits; empty outside containers.
    container_id: str = ""
    # Names that its processes go by, where they are not named for the service.
    commands: frozenset[str] = frozenset()

    @property
    def held_bytes(self) -> int | None:
        """All of it together; None when some is not told."""
        return sum(self.parts.values()) + self.other_bytes if self.complete else None


@dataclass(frozen=True, slots=True)
class Told:
    """The last that was heard of a service."""

    report: SelfReport
    age_s: float = 0.0
    # It should have been heard of since.
    stale: bool = False


Ask = Callable[[], Awaitable[SelfReport]]


class Reporter(Protocol):
    """A way to ask one service what it holds."""

    @property
    def service(self) -> str:
        """The service, as the plan names it."""
        ...

    def open(self) -> AbstractAsyncContextManager[Ask]:
        """A connection to it; `Ask` raises `AnchorError` when there is no answer, and may be cancelled."""
        ...


def combined(answers: Iterable[Told]) -> Told:
    """What several reporters heard of one service (at least one): the fullest answer, and what else they know of it.

    Figures are not added up, since several may tell of the same memory.
    """
    first, *others = sorted(answers, key=lambda told: (not told.report.complete, told.stale, not told.report.parts))
    report = first.report
    for other in (told.report for told in others):
        report = replace(
            report,
            state=report.state or other.state,
            models=report.models or other.models,
            container_id=report.container_id or other.container_id,
            commands=report.commands | other.commands,
            kv_cache_used_share=other.kv_cache_used_share
            if report.kv_cache_used_share is None
            else report.kv_cache_used_share,
        )
    return replace(first, report=report)
