"""The service as a process, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from fake_machine import GIB, Machine, gpu
from gpu_monitor.app import build
from gpu_monitor.memory.processes import ProcessLookup
from gpu_monitor.settings import GpuSettings
from self_reporting import MeasuredEngine, serve_engine_memory
from service_kit.engines.memory import MemoryKind
from service_kit.rpc.channel import open_channel, read_message


class Running:
    """Clients of a running service."""

    def __init__(self, grpc_port: int, http_port: int) -> None:
        self.grpc_port = grpc_port
        self._url = f"http://127.0.0.1:{http_port}"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._url) as client:
            return await client.get(path)

    @asynccontextmanager
    async def reports(self) -> AsyncGenerator[asyncio.Queue[gpu_pb2.GpuReport]]:
        """Queue of the reports of one watch."""
        reports: asyncio.Queue[gpu_pb2.GpuReport] = asyncio.Queue()
        async with open_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            call = gpu_pb2_grpc.GpuMonitorServiceStub(channel).Watch(gpu_pb2.WatchRequest(interval_ms=100))

            async def collect() -> None:
                while (event := await read_message(call, "gpu", within_s=20)) is not None:
                    if event.WhichOneof("event") == "report":
                        reports.put_nowait(event.report)

            collecting = asyncio.create_task(collect())
            yield reports
            collecting.cancel()
            call.cancel()
            await asyncio.wait((collecting,))

    async def until(self, availability: gpu_pb2.GpuAvailability) -> gpu_pb2.GpuReport:
        async with asyncio.timeout(20), self.reports() as reports:
            while (report := await reports.get()).availability != availability:
                pass
            return report


def own_container() -> str:
    """This process's container id as the monitor sees it."""
    return ProcessLookup(host_pids=True).container_id(os.getpid())


@asynccontextmanager
async def process(environment: dict[str, str]) -> AsyncGenerator[Running]:
    """`python -m gpu_monitor`, once it has logged that it is ready; SIGTERM must end it with status 0."""
    quick = {"GPU_INTERVAL_MS": "100", "GPU_RETRY_INTERVAL_S": "0.1", "GPU_GRPC_PORT": "0", "GPU_HTTP_PORT": "0"}
    quick["GPU_SERVICES"] = "{}"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gpu_monitor", env=os.environ | quick | environment, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (line := json.loads(await child.stdout.readline()))["message"] != "service ready":
                pass
        yield Running(line["grpc_port"], line["http_port"])
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def test_gpus_are_served_over_grpc_and_http(machine: Machine):
    machine.set_devices(gpu(0, used_gib=12), gpu(1, used_gib=40), f"process 0 compute {os.getpid()} {9 * GIB}")
    async with process({**machine.environment, "GPU_MEMORY_LIMIT_GB": "46", "GPU_HOST_PIDS": "true"}) as running:
        report = await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)
        metrics = (await running.get("/metrics")).text
        info = (await running.get("/info")).json()
    assert [device.memory_used_bytes for device in report.devices] == [12 * GIB, 40 * GIB]
    assert report.devices[0].memory_budget_bytes == 46 * GIB
    assert report.devices[0].processes[0].pid == os.getpid()
    assert 'anchor_gpu_memory_used_bytes{device="1"} 4.294967296e+10' in metrics
    assert 'anchor_gpu_power_watts{device="0"} 143.5' in metrics
    assert 'anchor_gpu_pressure_level{device="1"} 1.0' in metrics
    assert "anchor_gpu_available 1.0" in metrics
    assert (info["availability"], info["driver_version"], info["engine"]["name"]) == ("present", "999.01", "nvml")


async def test_service_is_polled_and_matched_to_its_process(machine: Machine, tmp_path: Path):
    machine.set_devices(gpu(0, used_gib=12), f"process 0 compute {os.getpid()} {9 * GIB}")
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"services": [{"service": "tts-service", "model": "m", "weights_bytes": 8 * GIB}]}))
    engine = MeasuredEngine({MemoryKind.WEIGHTS: 8 * GIB})
    async with serve_engine_memory(engine, own_container()) as target:
        environment = {"GPU_HOST_PIDS": "true", "GPU_SERVICES": json.dumps({"tts-service": target})}
        async with process({**machine.environment, **environment, "GPU_PLAN_PATH": str(plan)}) as running:
            async with asyncio.timeout(20), running.reports() as reports:
                while not (report := await reports.get()).services[0].HasField("self_report"):
                    pass
            metrics = (await running.get("/metrics")).text
    (service,) = report.services
    assert (service.self_report.models, service.planned_bytes) == (["a-model"], 8 * GIB)
    assert 'anchor_gpu_service_planned_bytes{holder="tts-service"} 8.589934592e+09' in metrics
    # In a container the process is matched by the container id; elsewhere the self-report counts.
    seen = 9 if own_container() else 8
    assert service.used_bytes == seen * GIB
    assert report.unattributed_bytes == (12 - seen) * GIB


async def test_lost_gpu_is_reported_and_recovers(machine: Machine):
    machine.set_devices(gpu())
    async with process(machine.environment) as running:
        await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)
        machine.set_devices(gpu(), "fail nvmlDeviceGetHandleByIndex_v2 15")
        report = await running.until(gpu_pb2.GPU_AVAILABILITY_LOST)
        assert "fell off the bus" in report.unavailable_reason
        assert (await running.get("/ready")).status_code == 200
        assert "anchor_gpu_available 0.0" in (await running.get("/metrics")).text
        machine.set_devices(gpu())
        await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)


async def test_hanging_driver_leaves_the_service_ready(machine: Machine):
    machine.set_devices(gpu())
    async with process({**machine.environment, "GPU_READ_DEADLINE_S": "0.1"}) as running:
        await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)
        machine.set_devices(gpu(), "hang nvmlDeviceGetMemoryInfo 700")
        report = await running.until(gpu_pb2.GPU_AVAILABILITY_LOST)
        assert "has not answered for 0.1 s" in report.unavailable_reason
        assert (await running.get("/ready")).status_code == 200
        machine.set_devices(gpu())
        await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)


async def test_service_without_driver_is_ready_and_states_the_reason(tmp_path: Path):
    # Hides an installed driver too: the loader stops at the first file of that name.
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    async with process({"LD_LIBRARY_PATH": str(tmp_path)}) as running:
        report = await running.until(gpu_pb2.GPU_AVAILABILITY_ABSENT)
        info = (await running.get("/info")).json()
    assert "no NVIDIA driver is installed" in report.unavailable_reason
    assert (list(report.devices), info["availability"]) == ([], "absent")


async def test_service_runs_with_the_scripted_reader():
    service = build(GpuSettings(engine="scripted", grpc_port=0, http_port=0))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.run(stop))
        async with asyncio.timeout(20):
            while not service.health.ready:
                await asyncio.sleep(0.01)
        running = Running(service.grpc_port, service.http_port)
        report = await running.until(gpu_pb2.GPU_AVAILABILITY_PRESENT)
        info = (await running.get("/info")).json()
        stop.set()
    assert report.devices[0].name == "Scripted GPU"
    assert info["devices"] == ["Scripted GPU"]


@pytest.mark.parametrize("name", ["nvml", "scripted"])
def test_every_registered_reader_can_be_built(name: str):
    build(GpuSettings(engine=name, grpc_port=0, http_port=0))
