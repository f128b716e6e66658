"""Whether services keep to the memory plan: pure policy, with tolerance, hysteresis and a least duration."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from gpu_monitor.findings.time_series import Sustained
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.memory.service_memory import ServiceMemory

# Nobody is blamed for less than this: contexts and allocators round up.
LEAST_TOLERANCE_BYTES = 256 * 1024**2
# Who is out of tolerance is within it again at this share of it.
RELIEVED_AT = 0.5
# How long a service must be out of its plan, or within it again.
LEAST_DURATION_S = 30.0


class Verdict(IntEnum):
    """How a service keeps to its plan."""

    UNKNOWN = 0
    WITHIN = 1
    OVER = 2
    UNDER = 3


class PlanPolicy:
    """Follows every service from one reading to the next; `tolerance` is a share of the plan, 0 to 1."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._sides: dict[str, dict[Verdict, Sustained]] = {}

    def on_reading(self, now_s: float, services: Iterable[ServiceMemory]) -> dict[str, Verdict]:
        """The verdict on each service, by name; a service that is not among them is forgotten."""
        judged = {service.service: service for service in services}
        self._sides = {name: sides for name, sides in self._sides.items() if name in judged}
        return {name: self._verdict(now_s, service) for name, service in judged.items()}

    def _verdict(self, now_s: float, service: ServiceMemory) -> Verdict:
        if service.planned_bytes is None or service.used_bytes is None:
            self._sides.pop(service.service, None)
            return Verdict.UNKNOWN
        sides = self._sides.setdefault(service.service, _sides())
        if service.known_now:
            excess = service.used_bytes - service.planned_bytes
            self._judge(now_s, sides[Verdict.OVER], excess, service.planned_bytes)
            # A parked engine has less by intent.
            lacking = -excess if service.state is EngineState.AWAKE else 0
            self._judge(now_s, sides[Verdict.UNDER], lacking, service.planned_bytes)
        return next((verdict for verdict, side in sides.items() if side.active), Verdict.WITHIN)

    def _judge(self, now_s: float, side: Sustained, distance_bytes: int, planned_bytes: int) -> None:
        limit_bytes = max(LEAST_TOLERANCE_BYTES, self._tolerance * planned_bytes)
        side.on_reading(now_s, distance_bytes > limit_bytes * (RELIEVED_AT if side.active else 1))


def _sides() -> dict[Verdict, Sustained]:
    return {verdict: Sustained(LEAST_DURATION_S, LEAST_DURATION_S) for verdict in (Verdict.OVER, Verdict.UNDER)}
