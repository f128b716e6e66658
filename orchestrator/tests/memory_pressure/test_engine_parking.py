"""Parking of all engines: on request, under memory pressure, and without sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from fake_engine_control import FakeEngineControl
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState
from service_kit.errors import AtCapacity, NotFound, PeerFailed, Unsupported
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


async def until(holds: Callable[[], bool], within_s: float = 4) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(parking: EngineParking) -> AsyncGenerator[None]:
    task = asyncio.create_task(parking.run())
    await asyncio.sleep(0.01)
    yield
    await stop_task(task)


@pytest.fixture
def engines() -> dict[str, FakeEngineControl]:
    return {"llm": FakeEngineControl(), "tts": FakeEngineControl(), "stt": FakeEngineControl()}


@pytest.fixture
def degradation_board() -> DegradationBoard:
    return DegradationBoard()


def parking_of(
    engines: dict[str, FakeEngineControl], degradation_board: DegradationBoard, **rules: float
) -> EngineParking:
    return EngineParking(
        {name: ParkableEngine(name, engine) for name, engine in engines.items()}, degradation_board, **rules
    )


async def test_engines_park_without_sessions_and_wake_for_a_new_one(engines, degradation_board):
    parking = parking_of(engines, degradation_board, park_all_after_s=0.2)
    async with running(parking):
        parking.on_sessions_changed(1)
        await asyncio.sleep(1.2)
        assert all(engine.current_state is ParkingState.AWAKE for engine in engines.values())
        parking.on_sessions_changed(0)
        await until(lambda: all(each.state is ParkingState.PARKED for each in parking.engines.values()))
        engines["tts"].move_s = 0.1
        parking.on_sessions_changed(1)
        await until(lambda: bool(degradation_board.degraded))
        assert degradation_board.degraded[0].code in {"memory.tts_waking", "memory.llm_waking", "memory.stt_waking"}
        await until(lambda: all(each.state is ParkingState.AWAKE for each in parking.engines.values()))
        assert degradation_board.degraded == ()


async def test_engines_stay_awake_without_a_schedule(engines, degradation_board):
    parking = parking_of(engines, degradation_board)
    async with running(parking):
        await asyncio.sleep(1.2)
    assert not any(engine.moves for engine in engines.values())


async def test_requested_engine_parks_when_idle_and_stays_for_new_sessions(engines, degradation_board):
    parking = parking_of(engines, degradation_board, park_requested_after_s=0.05)
    async with running(parking):
        parking.on_sessions_changed(1)
        parking.request_parking({"llm"})
        await until(lambda: parking.engines["llm"].state is ParkingState.PARKED)
        parking.on_sessions_changed(2)
        await asyncio.sleep(0.05)
        assert engines["llm"].current_state is ParkingState.PARKED
        assert parking.describe()["llm"] == {"state": "parked", "in_use": False, "wanted": True, "reason": ""}
        parking.request_parking(())
        await until(lambda: engines["llm"].current_state is ParkingState.AWAKE)
    assert engines["tts"].moves == engines["stt"].moves == []


async def test_refused_park_is_retried_later(engines, degradation_board):
    engines["tts"].failure = AtCapacity("tts.busy", "another phrase is being spoken")
    parking = parking_of(engines, degradation_board, park_requested_after_s=0.0)
    async with running(parking):
        parking.request_parking({"tts"})
        await until(lambda: bool(engines["tts"].moves))
        await asyncio.sleep(1.2)
    assert engines["tts"].moves == ["park"]


async def test_unparkable_engine_is_not_tried_again(engines, degradation_board):
    engines["stt"].failure = Unsupported("stt.not_parkable", "the server has no sleep mode")
    parking = parking_of(engines, degradation_board, park_all_after_s=1)
    async with running(parking):
        await asyncio.sleep(120)
    assert engines["stt"].moves == ["park"]


async def test_unreachable_engine_is_not_parked_repeatedly(engines, degradation_board):
    engines["stt"].unreachable = PeerFailed("stt.unavailable", "stt-service is unreachable")
    parking = parking_of(engines, degradation_board, park_all_after_s=1)
    async with running(parking):
        await asyncio.sleep(60)
        assert engines["stt"].moves == []
        engines["stt"].unreachable = None
        await asyncio.sleep(10)
    assert engines["stt"].moves == ["park"]


async def test_failed_wake_is_on_the_degradation_board(engines, degradation_board):
    parking = parking_of(engines, degradation_board)
    async with running(parking):
        await parking.park("llm")
        engines["llm"].failure = PeerFailed("llm.unreachable", "no model server")
        with pytest.raises(PeerFailed):
            await parking.wake("llm")
        assert [entry.code for entry in degradation_board.degraded] == ["memory.llm_asleep"]
        assert "no model server" in degradation_board.degraded[0].message


async def test_unknown_engine_name_is_not_found(engines, degradation_board):
    with pytest.raises(NotFound, match="llm, tts, stt"):
        await parking_of(engines, degradation_board).park("vad")
