"""Samples the driver at an interval, once for all watchers, and publishes the latest snapshot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from service_kit.engines.worker import EngineWorker

from gpu_monitor.engine import Device, DeviceReader, DriverUnavailable
from gpu_monitor.findings.findings import Findings, MemoryAnalyser
from gpu_monitor.memory.plan import MemoryPlan
from gpu_monitor.memory.self_report import ReceivedReport
from gpu_monitor.metrics import READ_FAILURES, READ_SECONDS, update_gauges
from gpu_monitor.settings import GpuSettings
from gpu_monitor.snapshot import GpuAvailability, Snapshot

log = logging.getLogger(__name__)


class Sampler:
    """Owns the snapshots. `latest` is set by the first `sample`; `run` never returns."""

    latest: Snapshot

    def __init__(
        self,
        reader: DeviceReader,
        worker: EngineWorker,
        settings: GpuSettings,
        plan: MemoryPlan,
        self_reports: Callable[[], Mapping[str, ReceivedReport]],
    ) -> None:
        """`self_reports` returns the latest self-report by service."""
        self._reader = reader
        self._worker = worker
        self._interval_s = settings.interval_ms / 1000
        self._retry_interval_s = settings.retry_interval_s
        self._deadline_s = settings.read_deadline_s
        self._budget_bytes = settings.memory_budget_bytes
        self._analyser = MemoryAnalyser(plan, settings)
        self._self_reports = self_reports
        self._seen_devices = False
        self._reading: asyncio.Task[tuple[Device, ...]] | None = None
        self._published = asyncio.Event()

    @property
    def interval_s(self) -> float:
        """Time to the next reading; longer while the driver is missing or fails."""
        present = self.latest.availability is GpuAvailability.PRESENT
        return self._interval_s if present else self._retry_interval_s

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            while True:
                await asyncio.sleep(self.interval_s)
                await self.sample()
        finally:
            if self._reading is not None:
                self._reading.cancel()

    async def sample(self) -> None:
        """Read once and publish the result, at the latest when the read deadline passes."""
        try:
            devices = await self._read()
        except DriverUnavailable as error:
            self._publish(self._unavailable(error.message))
        else:
            self._seen_devices = True
            self._publish(
                Snapshot(
                    GpuAvailability.PRESENT,
                    reason="",
                    read_at_unix_ms=unix_ms(),
                    devices=devices,
                    memory_budget_bytes=self._budget_bytes,
                    findings=self._analyse(devices),
                )
            )

    async def wait_for_next(self, seen: Snapshot) -> Snapshot:
        """Wait until `latest` is not `seen`, and return it; snapshots in between are skipped. Cancel-safe."""
        while self.latest is seen:
            await self._published.wait()
        return self.latest

    async def _read(self) -> tuple[Device, ...]:
        """Read once. A hanging driver call cannot be interrupted: the next call awaits the same reading again."""
        started_s = time.monotonic()
        if self._reading is None:
            self._reading = asyncio.create_task(self._worker.run(self._reader.read), name="reading")
        done, _ = await asyncio.wait((self._reading,), timeout=self._deadline_s)
        if not done:
            raise DriverUnavailable(f"the driver has not answered for {self._deadline_s:g} s")
        reading, self._reading = self._reading, None
        READ_SECONDS.observe(time.monotonic() - started_s)
        return reading.result()

    def _unavailable(self, reason: str) -> Snapshot:
        if self._seen_devices:
            READ_FAILURES.inc()
        availability = GpuAvailability.LOST if self._seen_devices else GpuAvailability.ABSENT
        return Snapshot(availability, reason, unix_ms(), findings=self._analyse(()))

    def _analyse(self, devices: tuple[Device, ...]) -> Findings:
        return self._analyser.on_reading(time.monotonic(), devices, self._self_reports())

    def _publish(self, snapshot: Snapshot) -> None:
        before = getattr(self, "latest", None)
        self.latest = snapshot
        update_gauges(snapshot)
        published, self._published = self._published, asyncio.Event()
        published.set()
        if before is None or (before.availability, before.reason) != (snapshot.availability, snapshot.reason):
            log.info(
                "gpu availability changed",
                extra={"availability": snapshot.availability.name, "reason": snapshot.reason},
            )


def unix_ms() -> int:
    """Current time in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
