"""What a watcher is to be told between reports."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_monitor.findings.exhaustion import Cause, Exhaustion
from gpu_monitor.findings.findings import Findings
from gpu_monitor.findings.leak import Trend
from gpu_monitor.findings.plan_verdict import Verdict
from gpu_monitor.findings.pressure import Level, Pressure, changes


@dataclass(frozen=True, slots=True)
class VerdictChanged:
    """A service keeps to its plan in another way than before."""

    service: str
    verdict: Verdict
    used_bytes: int | None = None
    planned_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LeakChanged:
    """A leak began, or is over."""

    service: str
    leaking: bool
    trend: Trend | None = None


Change = Pressure | VerdictChanged | LeakChanged | Exhaustion


class News:
    """Knows what one watcher was told, a value for each device and service; whatever was not, was well."""

    def __init__(self) -> None:
        self._levels: dict[int, Level] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._leaking: frozenset[str] = frozenset()
        self._causes: dict[int, tuple[Cause, str]] = {}

    def of(self, findings: Findings) -> list[Change]:
        """What differs between `findings` and what was told; it counts as told from now on."""
        pressures = changes(self._levels, findings.pressures)
        self._levels.update((pressure.device_index, pressure.level) for pressure in pressures)
        return [*pressures, *self._of_exhaustion(findings), *self._of_plan(findings), *self._of_leaks(findings)]

    def _of_exhaustion(self, findings: Findings) -> list[Change]:
        now = {index: found for index, found in findings.exhaustion.items() if found.cause}
        ended = [findings.exhaustion.get(index, Exhaustion(index)) for index in self._causes.keys() - now.keys()]
        begun = [found for index, found in now.items() if self._causes.get(index) != (found.cause, found.service)]
        self._causes = {index: (found.cause, found.service) for index, found in now.items()}
        return [*begun, *ended]

    def _of_plan(self, findings: Findings) -> list[Change]:
        told: list[Change] = []
        for name in sorted({*findings.verdicts, *self._verdicts}):
            before = self._verdicts.pop(name, Verdict.WITHIN)
            verdict = findings.verdicts.get(name, Verdict.UNKNOWN)
            if verdict in (Verdict.OVER, Verdict.UNDER):
                self._verdicts[name] = verdict
            elif before is Verdict.WITHIN:
                continue
            if verdict is not before:
                service = findings.services.get(name)
                figures = (service.used_bytes, service.planned_bytes) if service else (None, None)
                told.append(VerdictChanged(name, verdict, *figures))
        return told

    def _of_leaks(self, findings: Findings) -> list[Change]:
        leaking = frozenset(name for name, trend in findings.trends.items() if trend.leaking)
        changed = sorted(leaking ^ self._leaking)
        self._leaking = leaking
        return [LeakChanged(name, name in leaking, findings.trends.get(name)) for name in changed]
