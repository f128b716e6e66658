"""Runs all detectors on a reading and collects their findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu_monitor.engine import Device
from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionDetector
from gpu_monitor.findings.leak import LeakDetector, LeakLimits, MemoryTrend
from gpu_monitor.findings.plan_verdict import PlanChecker, PlanVerdict
from gpu_monitor.findings.pressure import Pressure, PressureTracker
from gpu_monitor.memory.plan import MemoryPlan
from gpu_monitor.memory.self_report import ReceivedReport
from gpu_monitor.memory.service_memory import ServiceMemory, attribute_memory, unattributed_bytes
from gpu_monitor.settings import GpuSettings


@dataclass(frozen=True, slots=True)
class Findings:
    """Results of all detectors for one reading: devices by index, services by name."""

    pressures: Mapping[int, Pressure]
    exhaustion: Mapping[int, Exhaustion]
    services: Mapping[str, ServiceMemory]
    verdicts: Mapping[str, PlanVerdict]
    # Only services observed for long enough.
    trends: Mapping[str, MemoryTrend]
    unattributed_bytes: int = 0


NO_FINDINGS = Findings({}, {}, {}, {}, {})


class MemoryAnalyser:
    """Feeds each reading to every detector."""

    def __init__(self, plan: MemoryPlan, settings: GpuSettings) -> None:
        self._memory_plan = plan
        self._pressure = PressureTracker(settings.memory_budget_bytes)
        self._exhaustion = ExhaustionDetector(settings.exhaustion_within_s)
        self._plan_checker = PlanChecker(settings.plan_tolerance)
        self._leak = LeakDetector(
            LeakLimits(settings.leak_window_s, settings.leak_mib_per_hour, settings.leak_growth_mib)
        )

    def on_reading(self, now_s: float, devices: Sequence[Device], reports: Mapping[str, ReceivedReport]) -> Findings:
        """Findings for `devices` (empty while the driver fails) and the latest self-reports, by service."""
        services = attribute_memory(devices, reports, self._memory_plan)
        return Findings(
            pressures=self._pressure.on_reading(devices, services),
            exhaustion=self._exhaustion.on_reading(now_s, devices, services),
            services={service.service: service for service in services},
            verdicts=self._plan_checker.on_reading(now_s, services),
            trends=self._leak.on_reading(now_s, services),
            unattributed_bytes=unattributed_bytes(devices, services),
        )
