"""Memory table: what each service uses, gives back when parked, and keeps over ten minutes of turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anchor_cli.verification.checks import limits
from anchor_cli.verification.checks.voice import check_plan
from anchor_cli.verification.outcome import Check, at_least, at_most, require


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service's memory, in bytes; None where unknown."""

    service: str
    planned_bytes: int | None
    reported_bytes: int | None
    driver_bytes: int | None

    @property
    def unexplained_bytes(self) -> int | None:
        """What the driver counts beyond the service's own report."""
        if self.driver_bytes is None or self.reported_bytes is None:
            return None
        return self.driver_bytes - self.reported_bytes


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """The table, and memory in use on the card: around parking by engine, and around the turns."""

    rows: tuple[ServiceRow, ...]
    free_bytes: int | None
    # Memory in use before parking and after waking, by engine.
    parked: Mapping[str, tuple[int | None, int | None]]
    turns: int
    turns_s: float
    before_turns_bytes: int | None
    after_turns_bytes: int | None


def check_memory(figures: MemoryFigures) -> tuple[Check, ...]:
    """Decide on the table, on parking, and on growth."""
    measured: Sequence[tuple[str, int, int]] = [
        (row.service, used, row.planned_bytes)
        for row in figures.rows
        if row.planned_bytes and (used := row.driver_bytes or row.reported_bytes) is not None
    ]
    growth = _difference(figures.before_turns_bytes, figures.after_turns_bytes)
    return (
        check_plan(measured),
        *(_check_wake(engine, before, after) for engine, (before, after) in figures.parked.items()),
        require(
            "parked and woken",
            bool(figures.parked),
            ", ".join(figures.parked) or "no engine can be parked",
            "Read `docker compose logs orchestrator`: it has no engine whose memory it can release.",
        ),
        at_least("turns for", figures.turns_s, limits.TURNS_S, "s", "Run `--only memory` again: it ended early."),
        at_most(
            f"growth over {figures.turns} turns",
            None if growth is None else growth / limits.MIB,
            limits.MOST_GROWTH_BYTES / limits.MIB,
            "MiB",
            "Please report the memory table; the GPU monitor's leak check names the service (docs/memory-plan.md).",
        ),
    )


def _check_wake(engine: str, before: int | None, after: int | None) -> Check:
    difference = _difference(before, after)
    return at_most(
        f"{engine}: memory after waking",
        None if difference is None else abs(difference) / limits.MIB,
        limits.MOST_WAKE_DIFFERENCE_BYTES / limits.MIB,
        "MiB",
        f"Restart the engine with `anchor park {engine}` and `anchor wake {engine}`; please report the memory table.",
    )


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
