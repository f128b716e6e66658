"""The memory that a service reports of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Protocol

from service_kit.engines.memory import MemoryKind


class EngineState(IntEnum):
    """Whether an engine holds its memory; numbers of `anchor.memory.v1`."""

    UNKNOWN = 0
    AWAKE = 1
    PARKED = 2
    MOVING = 3


@dataclass(frozen=True, slots=True)
class SelfReport:
    """One answer of a service. Bytes are totals over all devices."""

    state: EngineState = EngineState.AWAKE
    models: tuple[str, ...] = ()
    parts: Mapping[MemoryKind, int] = field(default_factory=dict[MemoryKind, int])
    # Memory of unknown kind.
    other_bytes: int = 0
    # Whether the report covers all memory of the service.
    complete: bool = True
    # 0 to 1; None when not reported.
    kv_cache_used_share: float | None = None
    # 12 to 64 hexadecimal digits; empty outside containers.
    container_id: str = ""
    # Command names of its processes, when they differ from the service's name.
    commands: frozenset[str] = frozenset()

    @property
    def held_bytes(self) -> int | None:
        """Total bytes; None when the report is incomplete."""
        return sum(self.parts.values()) + self.other_bytes if self.complete else None


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """The latest self-report of a service, with its age."""

    report: SelfReport
    age_s: float = 0.0
    # Whether newer reports are overdue.
    stale: bool = False


FetchReport = Callable[[], Awaitable[SelfReport]]


class Reporter(Protocol):
    """Asks one service for its memory."""

    @property
    def service(self) -> str:
        """The service's name in the plan."""
        ...

    def connect(self) -> AbstractAsyncContextManager[FetchReport]:
        """Connect to the service. The yielded `FetchReport` raises `AnchorError` without an answer; cancel-safe."""
        ...


def merge_reports(received: Iterable[ReceivedReport]) -> ReceivedReport:
    """Merge the reports of several reporters on one service (at least one).

    The most complete report counts; the others fill its gaps. Bytes are not summed, because several reports may
    cover the same memory.
    """
    first, *others = sorted(received, key=lambda each: (not each.report.complete, each.stale, not each.report.parts))
    report = first.report
    for other in (each.report for each in others):
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
