"""Compares services with the memory plan, with a tolerance, hysteresis and a minimum duration. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from gpu_monitor.findings.time_series import SustainedCondition
from gpu_monitor.memory.self_report import EngineState
from gpu_monitor.memory.service_memory import ServiceMemory

# Smaller deviations never count: contexts and allocators round up.
MIN_TOLERANCE_BYTES = 256 * 1024**2
# A service is within its plan again below this share of the tolerance.
END_SHARE = 0.5
# How long a deviation, or its end, must last before the verdict changes.
MIN_DURATION_S = 30.0


class PlanVerdict(IntEnum):
    """How a service keeps to its plan; numbers of `anchor.gpu.v1`."""

    UNKNOWN = 0
    WITHIN = 1
    OVER = 2
    UNDER = 3


class PlanChecker:
    """Tracks the verdict of every service. `tolerance` is a share of the plan, 0 to 1."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._sides: dict[str, dict[PlanVerdict, SustainedCondition]] = {}

    def on_reading(self, now_s: float, services: Iterable[ServiceMemory]) -> dict[str, PlanVerdict]:
        """The verdict on each service, by name. Services that are missing from `services` are forgotten."""
        by_name = {service.service: service for service in services}
        self._sides = {name: sides for name, sides in self._sides.items() if name in by_name}
        return {name: self._verdict(now_s, service) for name, service in by_name.items()}

    def _verdict(self, now_s: float, service: ServiceMemory) -> PlanVerdict:
        if service.planned_bytes is None or service.used_bytes is None:
            self._sides.pop(service.service, None)
            return PlanVerdict.UNKNOWN
        sides = self._sides.setdefault(service.service, _new_sides())
        if service.is_current:
            excess = service.used_bytes - service.planned_bytes
            self._update_side(now_s, sides[PlanVerdict.OVER], excess, service.planned_bytes)
            # A parked engine uses less by design.
            lacking = -excess if service.state is EngineState.AWAKE else 0
            self._update_side(now_s, sides[PlanVerdict.UNDER], lacking, service.planned_bytes)
        return next((verdict for verdict, side in sides.items() if side.active), PlanVerdict.WITHIN)

    def _update_side(self, now_s: float, side: SustainedCondition, distance_bytes: int, planned_bytes: int) -> None:
        limit_bytes = max(MIN_TOLERANCE_BYTES, self._tolerance * planned_bytes)
        side.update(now_s, distance_bytes > limit_bytes * (END_SHARE if side.active else 1))


def _new_sides() -> dict[PlanVerdict, SustainedCondition]:
    return {
        verdict: SustainedCondition(MIN_DURATION_S, MIN_DURATION_S) for verdict in (PlanVerdict.OVER, PlanVerdict.UNDER)
    }
