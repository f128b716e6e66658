"""Step 8: the memory table, parking and waking, and ten minutes of turns."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import httpx
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from service_kit.errors import PeerFailed
from service_kit.rpc.channel import open_channel, read_message

from anchor_cli.client.audio_files import load_clip
from anchor_cli.verification.checks.memory import MemoryFigures, ServiceRow, check_memory
from anchor_cli.verification.equipment.equipment import MeshAddresses
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.steps.together import run_one_turn
from anchor_cli.verification.workbench import Workbench

_REPORT_TIMEOUT_S = 30.0
# Waking a model may read it from disk.
_MOVE_TIMEOUT_S = 330.0
# After a session, its engines are in use for a moment.
_BUSY_S = 30.0


async def verify_memory(bench: Workbench) -> Outcome:
    """Read the monitor's table, park and wake each engine, and run turns."""
    clip = load_clip(bench.root / bench.settings.self_test_wav)
    async with bench.equipment.mesh() as mesh:
        report = await _read_report(mesh)
        parked = await park_and_wake(bench, mesh)
        # What the first turn after waking allocates is no growth.
        await run_one_turn(mesh, clip)
        before, began_s, turns = await bench.equipment.used_bytes(), time.monotonic(), 0
        while time.monotonic() - began_s < bench.turns_s:
            await run_one_turn(mesh, clip)
            turns += 1
        ran_s, after = time.monotonic() - began_s, await bench.equipment.used_bytes()
    figures = MemoryFigures(
        rows=tuple(_row(service) for service in report.services),
        free_bytes=sum(device.memory_total_bytes - device.memory_used_bytes for device in report.devices)
        if report.devices
        else None,
        parked=parked,
        turns=turns,
        turns_s=ran_s,
        before_turns_bytes=before,
        after_turns_bytes=after,
    )
    rows = [{**asdict(row), "unexplained_bytes": row.unexplained_bytes} for row in figures.rows]
    return Outcome(check_memory(figures), {**asdict(figures), "rows": rows})


async def _read_report(mesh: MeshAddresses) -> gpu_pb2.GpuReport:
    async with open_channel(mesh.gpu_target) as channel:
        call: Any = gpu_pb2_grpc.GpuMonitorServiceStub(channel).Watch(gpu_pb2.WatchRequest(interval_ms=1000))
        try:
            while True:
                event: gpu_pb2.WatchResponse | None = await read_message(call, "gpu", _REPORT_TIMEOUT_S)
                if event is None:
                    raise PeerFailed("verify.no_report", "the GPU monitor ended the call without a report")
                if event.HasField("report"):
                    return event.report
        finally:
            call.cancel()


async def park_and_wake(bench: Workbench, mesh: MeshAddresses) -> dict[str, tuple[int | None, int | None]]:
    """Memory in use before parking and after waking, by engine that can be parked. Raises `PeerFailed`."""
    used: dict[str, tuple[int | None, int | None]] = {}
    async with httpx.AsyncClient(
        base_url=mesh.api_url, headers=dict(mesh.headers), timeout=_MOVE_TIMEOUT_S, trust_env=False
    ) as http:
        try:
            engines: dict[str, Any] = (await http.get("/memory")).raise_for_status().json()["engines"]
            for name in (name for name, engine in engines.items() if engine["state"] != "fixed"):
                before = await bench.equipment.used_bytes()
                for move in ("park", "wake"):
                    await _move(http, name, move)
                used[name] = before, await bench.equipment.used_bytes()
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise PeerFailed("verify.parking_failed", f"parking and waking: {error or type(error).__name__}") from error
    return used


async def _move(http: httpx.AsyncClient, engine: str, move: str) -> None:
    """Park or wake an engine; one that is still busy with the last turn is asked again."""
    until_s = time.monotonic() + _BUSY_S
    while True:
        response = await http.post(f"/memory/{engine}/{move}")
        if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until_s:
            response.raise_for_status()
            return
        await asyncio.sleep(1)


def _row(service: gpu_pb2.ServiceMemory) -> ServiceRow:
    own = service.self_report
    reported = sum(part.bytes for part in own.parts) + own.other_bytes if service.HasField("self_report") else None
    return ServiceRow(
        service.service,
        service.planned_bytes if service.HasField("planned_bytes") else None,
        reported,
        service.driver_bytes if service.HasField("driver_bytes") else None,
    )
