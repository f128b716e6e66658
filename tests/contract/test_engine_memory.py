"""What the orchestrator parks and wakes, over real gRPC; and the monitor's word that makes it do so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest
from anchor.gpu.v1 import gpu_pb2, gpu_pb2_grpc
from orchestrator.clients.engine_memory import RemoteEngineControl
from orchestrator.clients.status import StatusWatch
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.controller import MemoryPressureController
from orchestrator.memory_pressure.degradation_ladder import DegradationLadder, LadderRules, PressureLevel
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState
from service_kit.engines.info import EngineInfo
from service_kit.engines.memory import SERVICE_NAME, EngineMemoryServicer, MemoryKind
from service_kit.errors import AtCapacity, EngineFailed, PeerFailed
from service_kit.health import Health, Status
from service_kit.rpc.channel import open_channel
from service_kit.rpc.server import GrpcServer
from service_kit.testing.plugin import serve_grpc
from tts_service.app import build as build_tts
from tts_service.settings import TtsSettings

INFO = EngineInfo("higgs", "higgs-v3", "1")


class Voice:
    """An engine with memory; `busy` refuses, `broken` does not wake."""

    def __init__(self) -> None:
        self.parked = False
        self.busy = False
        self.broken = False

    async def memory(self) -> Mapping[MemoryKind, int]:
        return {} if self.parked else {MemoryKind.WEIGHTS: 12 << 30}

    async def park(self) -> None:
        if self.busy:
            raise AtCapacity("tts.speaking", "a reply is being spoken")
        self.parked = True

    async def wake(self) -> None:
        if self.broken:
            raise EngineFailed("tts.engine_failed", "out of memory")
        self.parked = False


def served(engine: object):
    return serve_grpc(SERVICE_NAME, EngineMemoryServicer(engine, INFO).add_to)


async def until(holds, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_engine_is_parked_and_woken_and_says_so():
    voice = Voice()
    async with served(voice) as channel:
        memory = RemoteEngineControl(channel, "tts")
        assert await memory.state() is ParkingState.AWAKE
        await memory.park()
        assert voice.parked
        assert await memory.state() is ParkingState.PARKED
        await memory.wake()
        assert await memory.state() is ParkingState.AWAKE


async def test_an_engine_at_work_refuses_and_one_that_cannot_come_back_says_why():
    voice = Voice()
    async with served(voice) as channel:
        rest = ParkableEngine("tts", RemoteEngineControl(channel, "tts"))
        voice.busy = True
        with pytest.raises(AtCapacity) as refusal:
            await rest.park()
        assert (refusal.value.code, rest.state) == ("tts.speaking", ParkingState.AWAKE)
        voice.busy, voice.broken = False, True
        await rest.park()
        with pytest.raises(EngineFailed):
            await rest.wake()
        assert (rest.state, rest.reason) == (ParkingState.PARKED, "out of memory")


async def test_an_engine_without_memory_of_its_own_is_left_alone():
    async with served(object()) as channel:
        assert await RemoteEngineControl(channel, "tts").state() is ParkingState.FIXED


async def test_so_is_a_service_that_does_not_know_the_contract():
    async with serve_grpc("anchor.gpu.v1.GpuMonitorService", Monitor().add_to) as channel:
        assert await RemoteEngineControl(channel, "tts").state() is ParkingState.FIXED


async def test_the_scripted_engine_has_no_memory_on_either_channel(run_service):
    settings = TtsSettings(engine="scripted", grpc_port=0, http_port=0, drain_s=0)
    async with run_service(build_tts(settings)) as channel:
        assert await RemoteEngineControl(channel, "tts").state() is ParkingState.FIXED


async def test_an_unreachable_service_does_not_count_as_parked():
    channel = open_channel("127.0.0.1:9")
    rest = ParkableEngine("tts", RemoteEngineControl(channel, "tts"))
    with pytest.raises(PeerFailed):
        await rest.refresh()
    assert rest.state is ParkingState.AWAKE
    await channel.close()


class Monitor(gpu_pb2_grpc.GpuMonitorServiceServicer):
    """Tells the levels that it is given, by device."""

    def __init__(self) -> None:
        self.levels: asyncio.Queue[tuple[int, gpu_pb2.PressureLevel.ValueType]] = asyncio.Queue()
        self.watchers = 0

    def add_to(self, server) -> None:
        gpu_pb2_grpc.add_GpuMonitorServiceServicer_to_server(self, server)

    async def Watch(self, request, context) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.watchers += 1
        try:
            while True:
                device, level = await self.levels.get()
                changed = gpu_pb2.PressureChanged(device_index=device, level=level)
                await context.write(gpu_pb2.WatchResponse(pressure_changed=changed))
        finally:
            self.watchers -= 1


@asynccontextmanager
async def watched(monitor: Monitor) -> AsyncGenerator[tuple[str, GrpcServer]]:
    """The monitor's address, and its server."""
    health = Health("gpu-monitor", INFO)
    server = GrpcServer(health, [("gpu", monitor.add_to)], reflect=False)
    port = await server.start("127.0.0.1", 0)
    health.move_to(Status.READY)
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        await server.stop(0)


async def test_the_fullest_card_counts_and_a_monitor_that_is_gone_is_told_of():
    monitor, told = Monitor(), []
    async with (
        watched(monitor) as (target, server),
        StatusWatch({}, target, on_pressure=told.append, interval_s=0.05, deadline_s=60).running(),
    ):
        for device, level in [
            (0, gpu_pb2.PRESSURE_LEVEL_NONE),
            (1, gpu_pb2.PRESSURE_LEVEL_CRITICAL),
            (0, gpu_pb2.PRESSURE_LEVEL_HIGH),
            (1, gpu_pb2.PRESSURE_LEVEL_NONE),
        ]:
            monitor.levels.put_nowait((device, level))
        await until(lambda: len(told) == 4)
        assert told == [PressureLevel.NONE, PressureLevel.CRITICAL, PressureLevel.CRITICAL, PressureLevel.HIGH]
        await server.stop(0)
        await until(lambda: told[-1] is None)


async def test_pressure_parks_tts_and_a_restarted_controller_sees_it_parked():
    voice, monitor = Voice(), Monitor()
    rules = LadderRules(step_interval_s=0.05, critical_step_interval_s=0.02, undo_interval_s=0.2)
    async with served(voice) as channel, watched(monitor) as (target, _):

        def house() -> tuple[EngineParking, MemoryPressureController]:
            degradation_board = DegradationBoard()
            parking = EngineParking(
                {"tts": ParkableEngine("tts", RemoteEngineControl(channel, "tts"))},
                degradation_board,
                park_requested_after_s=0,
            )
            return parking, MemoryPressureController(
                DegradationLadder(rules), parking, degradation_board, has_small_voice=True
            )

        parking, memory_controller = house()
        async with (
            memory_controller.running(),
            StatusWatch({}, target, on_pressure=memory_controller.on_pressure, deadline_s=60).running(),
        ):
            parking.on_sessions_changed(1)
            monitor.levels.put_nowait((0, gpu_pb2.PRESSURE_LEVEL_CRITICAL))
            await until(lambda: voice.parked)
            assert memory_controller.describe()["skipped"] == {"parked_model": "llm cannot be parked"}
        # The orchestrator went away in the middle of it, and another one takes over.
        await until(lambda: monitor.watchers == 0)
        parking, memory_controller = house()
        async with (
            memory_controller.running(),
            StatusWatch({}, target, on_pressure=memory_controller.on_pressure, deadline_s=60).running(),
        ):
            await until(lambda: parking.engines["tts"].state is ParkingState.PARKED)
            monitor.levels.put_nowait((0, gpu_pb2.PRESSURE_LEVEL_HIGH))
            await until(lambda: "text_only" in memory_controller.describe()["steps"])
            assert voice.parked
            parking.on_sessions_changed(1)
            monitor.levels.put_nowait((0, gpu_pb2.PRESSURE_LEVEL_NONE))
            await until(lambda: memory_controller.describe()["steps"] == [])
            await until(lambda: not voice.parked)
