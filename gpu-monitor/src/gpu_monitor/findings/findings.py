"""All policies together: what follows from one reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu_monitor.engine import Device
from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionPolicy
from gpu_monitor.findings.leak import LeakLimits, LeakPolicy, Trend
from gpu_monitor.findings.plan_verdict import PlanPolicy, Verdict
from gpu_monitor.findings.pressure import Pressure, PressurePolicy
from gpu_monitor.memory.plan import Plan
from gpu_monitor.memory.self_report import Told
from gpu_monitor.memory.service_memory import ServiceMemory, service_memory, unattributed_bytes
from gpu_monitor.settings import GpuSettings


@dataclass(frozen=True, slots=True)
class Findings:
    """What is held of one reading: devices by index, services by name."""

    pressures: Mapping[int, Pressure]
    exhaustion: Mapping[int, Exhaustion]
    services: Mapping[str, ServiceMemory]
    verdicts: Mapping[str, Verdict]
    # Of services that have been steady for long enough.
    trends: Mapping[str, Trend]
    unattributed_bytes: int = 0


NOTHING_FOUND = Findings({}, {}, {}, {}, {})


class Judgement:
    """Follows devices and services from one reading to the next."""

    def __init__(self, plan: Plan, settings: GpuSettings) -> None:
        self._planned = plan.by_service
        self._pressure = PressurePolicy(settings.memory_budget_bytes)
        self._exhaustion = ExhaustionPolicy(settings.exhaustion_within_s)
        self._plan = PlanPolicy(settings.plan_tolerance)
        self._leak = LeakPolicy(
            LeakLimits(settings.leak_window_s, settings.leak_mib_per_hour, settings.leak_growth_mib)
        )

    def on_reading(self, now_s: float, devices: Sequence[Device], told: Mapping[str, Told]) -> Findings:
        """What follows from `devices` (none while the driver fails) and what services `told` last."""
        services = service_memory(devices, told, self._planned)
        return Findings(
            pressures=self._pressure.on_reading(devices),
            exhaustion=self._exhaustion.on_reading(now_s, devices, services),
            services={service.service: service for service in services},
            verdicts=self._plan.on_reading(now_s, services),
            trends=self._leak.on_reading(now_s, services),
            unattributed_bytes=unattributed_bytes(devices, services),
        )
