"""Notifications that a watcher receives between reports, when a finding changes."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionCause
from gpu_monitor.findings.findings import Findings
from gpu_monitor.findings.leak import MemoryTrend
from gpu_monitor.findings.plan_verdict import PlanVerdict
from gpu_monitor.findings.pressure import Pressure, PressureLevel, pressure_changes


@dataclass(frozen=True, slots=True)
class PlanVerdictChanged:
    """A service's plan verdict changed."""

    service: str
    verdict: PlanVerdict
    used_bytes: int | None = None
    planned_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LeakChanged:
    """A leak began or ended."""

    service: str
    leaking: bool
    trend: MemoryTrend | None = None


Notification = Pressure | PlanVerdictChanged | LeakChanged | Exhaustion


class NotificationTracker:
    """Remembers the state last sent to one watcher; the initial state is that all is well."""

    def __init__(self) -> None:
        self._levels: dict[int, PressureLevel] = {}
        self._verdicts: dict[str, PlanVerdict] = {}
        self._leaking: frozenset[str] = frozenset()
        self._causes: dict[int, tuple[ExhaustionCause, str]] = {}

    def update(self, findings: Findings) -> list[Notification]:
        """Notifications for all differences to the last state; `findings` becomes the last state."""
        pressures = pressure_changes(self._levels, findings.pressures)
        self._levels.update((pressure.device_index, pressure.level) for pressure in pressures)
        return [
            *pressures,
            *self._exhaustion_changes(findings),
            *self._plan_verdict_changes(findings),
            *self._leak_changes(findings),
        ]

    def _exhaustion_changes(self, findings: Findings) -> list[Notification]:
        now = {index: found for index, found in findings.exhaustion.items() if found.cause}
        ended = [findings.exhaustion.get(index, Exhaustion(index)) for index in self._causes.keys() - now.keys()]
        begun = [found for index, found in now.items() if self._causes.get(index) != (found.cause, found.service)]
        self._causes = {index: (found.cause, found.service) for index, found in now.items()}
        return [*begun, *ended]

    def _plan_verdict_changes(self, findings: Findings) -> list[Notification]:
        changes: list[Notification] = []
        for name in sorted({*findings.verdicts, *self._verdicts}):
            before = self._verdicts.pop(name, PlanVerdict.WITHIN)
            verdict = findings.verdicts.get(name, PlanVerdict.UNKNOWN)
            if verdict in (PlanVerdict.OVER, PlanVerdict.UNDER):
                self._verdicts[name] = verdict
            elif before is PlanVerdict.WITHIN:
                continue
            if verdict is not before:
                service = findings.services.get(name)
                figures = (service.used_bytes, service.planned_bytes) if service else (None, None)
                changes.append(PlanVerdictChanged(name, verdict, *figures))
        return changes

    def _leak_changes(self, findings: Findings) -> list[Notification]:
        leaking = frozenset(name for name, trend in findings.trends.items() if trend.leaking)
        changed = sorted(leaking ^ self._leaking)
        self._leaking = leaking
        return [LeakChanged(name, name in leaking, findings.trends.get(name)) for name in changed]
