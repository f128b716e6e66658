"""Polls the health of the other services every two seconds, and follows the GPU monitor."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self, cast

import httpx
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from service_kit.errors import AnchorError
from service_kit.rpc.channel import open_channel, read_message
from service_kit.tasks import background, run_together

from orchestrator.conversation.messages.system_status import (
    Degradation,
    GpuPressure,
    GpuServiceMemory,
    GpuStatus,
    ServiceHealth,
    ServiceStatus,
    SystemStatus,
)
from orchestrator.memory_pressure.degradation_ladder import PressureLevel

log = logging.getLogger(__name__)

_MIB = 1 << 20
# A service reports the languages of its engine, of which the largest has a hundred.
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_MAX_LANGUAGES = 128
_HEALTH = {
    "ready": ServiceHealth.SERVICE_HEALTH_READY,
    "loading": ServiceHealth.SERVICE_HEALTH_LOADING,
}
_PRESSURES: Mapping[PressureLevel | None, GpuPressure] = {
    PressureLevel.NONE: GpuPressure.GPU_PRESSURE_NONE,
    PressureLevel.ELEVATED: GpuPressure.GPU_PRESSURE_ELEVATED,
    PressureLevel.HIGH: GpuPressure.GPU_PRESSURE_HIGH,
    PressureLevel.CRITICAL: GpuPressure.GPU_PRESSURE_CRITICAL,
}
_LEVELS = {
    gpu_pb2.PRESSURE_LEVEL_NONE: PressureLevel.NONE,
    gpu_pb2.PRESSURE_LEVEL_ELEVATED: PressureLevel.ELEVATED,
    gpu_pb2.PRESSURE_LEVEL_HIGH: PressureLevel.HIGH,
    gpu_pb2.PRESSURE_LEVEL_CRITICAL: PressureLevel.CRITICAL,
}


class StatusWatch:
    """Watches the services while its context is open.

    `services` maps each service's name to its HTTP address; `gpu_target` is the GPU monitor's gRPC address, None
    without a monitor.
    """

    def __init__(
        self,
        services: Mapping[str, str],
        gpu_target: str | None,
        *,
        on_pressure: Callable[[PressureLevel | None], None] = lambda level: None,
        on_degraded: Callable[[tuple[Degradation, ...]], None] = lambda entries: None,
        on_ready: Callable[[str, Mapping[str, object]], None] = lambda service, fields: None,
        interval_s: float = 2.0,
        deadline_s: float = 1.0,
    ) -> None:
        """`on_pressure` repeatedly receives the pressure of the fullest GPU; None while no monitor reports.

        `on_degraded` receives what the services report as degraded, whenever that changes.

        `on_ready` repeatedly receives what each ready service reports on `/ready`.
        """
        self._addresses = services
        self._gpu_target = gpu_target
        self._on_pressure = on_pressure
        self._on_degraded = on_degraded
        self._on_ready = on_ready
        # The reasons of degraded services; one that is down is reported as such.
        self._degraded: dict[str, str] = {}
        self._reported: tuple[Degradation, ...] = ()
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._services = {
            name: ServiceStatus(name, ServiceHealth.SERVICE_HEALTH_UNSPECIFIED) for name in self._addresses
        }
        self._gpu: GpuStatus | None = None
        self._pressure = GpuPressure.GPU_PRESSURE_UNSPECIFIED

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Poll the services and watch the GPU monitor inside the context."""
        async with background(run_together(self._poll(), self._watch_gpu()), "status watch"):
            yield self

    async def system_status(self) -> SystemStatus:
        """Return the latest known status."""
        gpu = self._gpu and replace(self._gpu, pressure=self._pressure)
        return SystemStatus(tuple(self._services.values()), gpu)

    # Services -------------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        timeout = httpx.Timeout(self._deadline_s)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            while True:
                async with asyncio.TaskGroup() as group:
                    for name, address in self._addresses.items():
                        group.create_task(self._poll_service(client, name, address))
                self._report_degraded()
                await asyncio.sleep(self._interval_s)

    async def _poll_service(self, client: httpx.AsyncClient, name: str, address: str) -> None:
        before = self._services[name]
        now = await self._fetch_status(client, before, address)
        if now.health != before.health:
            log.info("service health changed", extra={"peer": name, "health": now.health.name})
        self._services[name] = now

    def _report_degraded(self) -> None:
        entries = tuple(
            Degradation(f"{name}.degraded", f"{name}: {self._degraded[name]}")
            for name in self._addresses
            if self._degraded.get(name)
        )
        if entries != self._reported:
            self._reported = entries
            self._on_degraded(entries)

    async def _fetch_status(self, client: httpx.AsyncClient, before: ServiceStatus, address: str) -> ServiceStatus:
        """Fetch `/ready` of a service; one that is down keeps its last known engine, model and version."""
        down = replace(before, health=ServiceHealth.SERVICE_HEALTH_DOWN)
        self._degraded.pop(before.service, None)
        try:
            # httpx limits each read; a peer that sends byte by byte would exceed that.
            async with asyncio.timeout(self._deadline_s):
                body: object = (await client.get(f"{address.rstrip('/')}/ready")).json()
        except (TimeoutError, httpx.HTTPError, ValueError) as error:
            log.debug("service did not answer", extra={"peer": before.service, "reason": str(error)})
            return down
        if not isinstance(body, dict):
            return down
        fields = cast("dict[str, Any]", body)
        health = _HEALTH.get(str(fields.get("status")), ServiceHealth.SERVICE_HEALTH_DOWN)
        names = (str(fields.get(key, "")) for key in ("engine", "model", "version"))
        self._degraded[before.service] = str(fields.get("degraded", ""))
        if health is ServiceHealth.SERVICE_HEALTH_READY:
            self._on_ready(before.service, fields)
        return ServiceStatus(before.service, health, *names, languages=_languages(fields.get("languages")))

    # GPU ------------------------------------------------------------------------------------------------------------

    async def _watch_gpu(self) -> None:
        if self._gpu_target is None:
            return
        channel = open_channel(self._gpu_target)
        stub = gpu_pb2_grpc.GpuMonitorServiceStub(channel)
        try:
            while True:
                try:
                    await self._read_gpu_events(stub)
                except AnchorError as error:
                    log.debug("GPU monitor lost", extra={"code": error.code, "reason": error.message})
                self._gpu = None
                self._update_pressure(())
                await asyncio.sleep(self._interval_s)
        finally:
            await channel.close()

    async def _read_gpu_events(self, stub: Any) -> None:
        """Read reports until the monitor ends the stream. Raises `AnchorError` when it fails or is silent."""
        # By device; None for an unknown level.
        levels: dict[int, PressureLevel | None] = {}
        call = stub.Watch(gpu_pb2.WatchRequest(interval_ms=round(self._interval_s * 1000)))
        try:
            while (
                response := await read_message(call, "gpu", within_s=3 * self._interval_s + self._deadline_s)
            ) is not None:
                match response.WhichOneof("event"):
                    case "report":
                        self._gpu = _gpu_status(response.report)
                        # A pressure change follows its report; a device without one before the next report has none.
                        self._update_pressure(levels.values())
                        for device in response.report.devices:
                            levels.setdefault(device.index, PressureLevel.NONE)
                    case "pressure_changed":
                        changed = response.pressure_changed
                        levels[changed.device_index] = _LEVELS.get(changed.level)
                        self._update_pressure(levels.values())
                    case _:
                        pass
        finally:
            call.cancel()

    def _update_pressure(self, levels: Iterable[PressureLevel | None]) -> None:
        """Publish the highest level of all devices; None when no device's level is known."""
        level = max((level for level in levels if level), default=None)
        self._pressure = _PRESSURES.get(level, GpuPressure.GPU_PRESSURE_UNSPECIFIED)
        self._on_pressure(level)


def _languages(value: object) -> tuple[str, ...]:
    """The languages that a service reports; empty for anything but a list of codes."""
    codes = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(code for code in codes if isinstance(code, str) and _LANGUAGE.fullmatch(code))[:_MAX_LANGUAGES]


def _gpu_status(report: gpu_pb2.GpuReport) -> GpuStatus:
    return GpuStatus(
        present=report.availability == gpu_pb2.GPU_AVAILABILITY_PRESENT,
        unavailable_reason=report.unavailable_reason,
        memory_total_mib=sum(device.memory_total_bytes for device in report.devices) // _MIB,
        memory_used_mib=sum(device.memory_used_bytes for device in report.devices) // _MIB,
        services=tuple(map(_service_memory, report.services)),
        temperature_celsius=max(
            (device.temperature_celsius for device in report.devices if device.HasField("temperature_celsius")),
            default=None,
        ),
    )


def _service_memory(held: gpu_pb2.ServiceMemory) -> GpuServiceMemory:
    return GpuServiceMemory(
        held.service,
        held.used_bytes // _MIB if held.HasField("used_bytes") else None,
        held.planned_bytes // _MIB if held.HasField("planned_bytes") else None,
        held.trend.leaking,
    )
