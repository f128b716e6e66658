"""One engine's engine_parking: who uses it, and what becomes of moves that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parked_engine import ParkedEngine, ParkingState
from parked_engine_double import Engine
from service_kit.errors import AtCapacity, NotFound, PeerFailed, Unsupported
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def engine_parking(engine) -> AsyncGenerator[ParkedEngine]:
    engine_parking = ParkedEngine("tts", engine, wake_within_s=0.3, park_within_s=0.3)
    running = asyncio.create_task(engine_parking.run())
    await asyncio.sleep(0.01)
    yield engine_parking
    await stop_task(running)


async def until(holds: Callable[[], bool], within_s: float = 4) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


async def test_whoever_uses_a_parked_engine_wakes_it_and_waits_for_it(engine_parking, engine):
    await engine_parking.park()
    assert (engine_parking.state, engine.now) == (ParkingState.PARKED, ParkingState.PARKED)
    engine.move_s = 0.05
    async with engine_parking.use():
        assert engine_parking.state is ParkingState.AWAKE
    assert engine.moves == ["park", "wake"]


async def test_a_use_waits_no_longer_than_it_says(engine_parking, engine):
    await engine_parking.park()
    engine.move_s = 0.1
    async with engine_parking.use(wait_s=0.02):
        assert engine_parking.state is ParkingState.WAKING
    await until(lambda: engine_parking.state is ParkingState.AWAKE)


async def test_an_engine_that_is_used_is_not_parked(engine_parking, engine):
    async with engine_parking.use():
        with pytest.raises(AtCapacity) as refusal:
            await engine_parking.park()
    assert refusal.value.code == "tts.in_use"
    assert engine.moves == []
    await engine_parking.park()


async def test_a_use_that_comes_while_the_engine_is_being_parked_wakes_it_afterwards(engine_parking, engine):
    engine.move_s = 0.05
    parking = asyncio.create_task(engine_parking.park())
    await asyncio.sleep(0.01)
    async with engine_parking.use():
        assert engine.moves == ["park", "wake"]
        assert engine_parking.state is ParkingState.AWAKE
    await parking


async def test_many_who_need_it_at_once_wake_it_once(engine_parking, engine):
    await engine_parking.park()
    engine.move_s = 0.02

    async def use() -> None:
        async with engine_parking.use():
            assert engine.now is ParkingState.AWAKE

    await asyncio.gather(*(use() for _ in range(5)))
    assert engine.moves == ["park", "wake"]


async def test_a_wake_that_fails_is_told_and_tried_again(engine_parking, engine):
    await engine_parking.park()
    engine.failure = PeerFailed("tts.unavailable", "the server is gone")
    engine_parking.request_wake()
    await until(lambda: engine_parking.reason == "the server is gone")
    assert engine_parking.state is ParkingState.PARKED
    engine.failure = None
    await until(lambda: engine_parking.state is ParkingState.AWAKE)
    assert engine_parking.reason == ""


async def test_a_wake_by_hand_that_takes_too_long_is_an_error(engine_parking, engine):
    await engine_parking.park()
    engine.move_s = 10
    with pytest.raises(PeerFailed) as late:
        await engine_parking.wake()
    assert late.value.code == "tts.wake_late"
    assert engine_parking.state is ParkingState.PARKED


async def test_a_wake_by_hand_of_what_cannot_be_parked_keeps_nobody_from_it(engine_parking, engine):
    engine.now = ParkingState.FIXED
    await engine_parking.refresh()
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    with pytest.raises(Unsupported):
        await engine_parking.wake()
    async with asyncio.timeout(1), engine_parking.use():
        assert (engine_parking.state, engine_parking.reason) == (ParkingState.FIXED, "")


async def test_an_engine_that_came_back_as_one_that_cannot_be_parked_keeps_nobody_waiting(engine_parking, engine):
    await engine_parking.park()
    engine.now = ParkingState.FIXED
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    async with asyncio.timeout(1), engine_parking.use():
        assert engine_parking.state is ParkingState.FIXED
    await asyncio.sleep(10)
    assert engine.moves == ["park", "wake"]


async def test_a_wake_by_hand_that_fails_leaves_an_engine_that_is_awake_to_those_who_use_it(engine_parking, engine):
    engine.failure = PeerFailed("tts.unavailable", "it restarts")
    with pytest.raises(PeerFailed):
        await engine_parking.wake()
    assert (engine_parking.state, engine_parking.reason) == (ParkingState.AWAKE, "")


async def test_a_move_that_breaks_leaves_nobody_waiting_for_its_end(engine_parking, engine):
    engine.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await engine_parking.park()
    assert engine_parking.state is ParkingState.AWAKE


async def test_a_park_that_is_refused_leaves_the_engine_as_it_was(engine_parking, engine):
    engine.failure = AtCapacity("tts.busy", "somebody else's phrase")
    with pytest.raises(AtCapacity):
        await engine_parking.park()
    assert engine_parking.state is ParkingState.AWAKE


async def test_what_another_did_to_the_engine_is_seen(engine_parking, engine):
    engine.now = ParkingState.PARKED
    await engine_parking.refresh()
    assert engine_parking.state is ParkingState.PARKED
    engine.now = ParkingState.WAKING
    await engine_parking.refresh()
    assert engine_parking.state is ParkingState.PARKED
    engine.now = ParkingState.FIXED
    await engine_parking.refresh()
    assert engine_parking.state is ParkingState.FIXED
    assert not engine_parking.is_idle


async def test_an_engine_that_refused_work_for_being_parked_is_woken(engine_parking, engine):
    engine.now = ParkingState.PARKED
    engine_parking.on_found_parked()
    await until(lambda: engine_parking.state is ParkingState.AWAKE)
    assert engine.moves == ["wake"]


async def test_a_new_orchestrator_finds_what_an_old_one_parked():
    engine = Engine()
    engine.now = ParkingState.PARKED
    engine_parking = ParkedEngine("tts", engine)
    running = asyncio.create_task(engine_parking.run())
    await until(lambda: engine_parking.state is ParkingState.PARKED)
    assert engine.moves == []
    await stop_task(running)


# All engines ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(parking: EngineParking) -> AsyncGenerator[None]:
    task = asyncio.create_task(parking.run())
    await asyncio.sleep(0.01)
    yield
    await stop_task(task)


@pytest.fixture
def engines() -> dict[str, Engine]:
    return {"llm": Engine(), "tts": Engine(), "stt": Engine()}


@pytest.fixture
def degradation_board() -> DegradationBoard:
    return DegradationBoard()


def parking_of(engines: dict[str, Engine], degradation_board: DegradationBoard, **rules: float) -> EngineParking:
    return EngineParking(
        {name: ParkedEngine(name, engine) for name, engine in engines.items()}, degradation_board, **rules
    )


async def test_when_nobody_has_been_here_for_long_all_are_parked_and_a_session_wakes_them(engines, degradation_board):
    parking = parking_of(engines, degradation_board, after_idle_s=0.2)
    async with running(parking):
        parking.on_sessions_changed(1)
        await asyncio.sleep(1.2)
        assert all(engine.now is ParkingState.AWAKE for engine in engines.values())
        parking.on_sessions_changed(0)
        await until(
            lambda: all(engine_parking.state is ParkingState.PARKED for engine_parking in parking.engines.values())
        )
        engines["tts"].move_s = 0.1
        parking.on_sessions_changed(1)
        await until(lambda: bool(degradation_board.degraded))
        assert degradation_board.degraded[0].code in {"memory.tts_waking", "memory.llm_waking", "memory.stt_waking"}
        await until(
            lambda: all(engine_parking.state is ParkingState.AWAKE for engine_parking in parking.engines.values())
        )
        assert degradation_board.degraded == ()


async def test_without_a_schedule_nothing_is_parked(engines, degradation_board):
    parking = parking_of(engines, degradation_board)
    async with running(parking):
        await asyncio.sleep(1.2)
    assert not any(engine.moves for engine in engines.values())


async def test_what_memory_is_wanted_of_rests_while_idle_and_is_left_in_peace_by_a_new_session(
    engines, degradation_board
):
    parking = parking_of(engines, degradation_board, linger_s=0.05)
    async with running(parking):
        parking.on_sessions_changed(1)
        parking.request_parking({"llm"})
        await until(lambda: parking.engines["llm"].state is ParkingState.PARKED)
        parking.on_sessions_changed(2)
        await asyncio.sleep(0.05)
        assert engines["llm"].now is ParkingState.PARKED
        assert parking.describe()["llm"] == {"state": "parked", "in_use": False, "wanted": True, "reason": ""}
        parking.request_parking(())
        await until(lambda: engines["llm"].now is ParkingState.AWAKE)
    assert engines["tts"].moves == engines["stt"].moves == []


async def test_an_engine_that_refuses_is_asked_again_later_not_at_once(engines, degradation_board):
    engines["tts"].failure = AtCapacity("tts.busy", "somebody speaks")
    parking = parking_of(engines, degradation_board, linger_s=0.0)
    async with running(parking):
        parking.request_parking({"tts"})
        await until(lambda: bool(engines["tts"].moves))
        await asyncio.sleep(1.2)
    assert engines["tts"].moves == ["park"]


async def test_an_engine_that_turns_out_not_to_be_parkable_is_not_asked_again(engines, degradation_board):
    engines["stt"].failure = Unsupported("stt.not_parkable", "the server has no sleep mode")
    parking = parking_of(engines, degradation_board, after_idle_s=1)
    async with running(parking):
        await asyncio.sleep(120)
    assert engines["stt"].moves == ["park"]


async def test_what_does_not_answer_is_not_parked_over_and_over(engines, degradation_board):
    engines["stt"].away = PeerFailed("stt.unavailable", "nobody there")
    parking = parking_of(engines, degradation_board, after_idle_s=1)
    async with running(parking):
        await asyncio.sleep(60)
        assert engines["stt"].moves == []
        engines["stt"].away = None
        await asyncio.sleep(10)
    assert engines["stt"].moves == ["park"]


async def test_an_engine_that_does_not_wake_is_on_the_bulletin_with_the_reason(engines, degradation_board):
    parking = parking_of(engines, degradation_board)
    async with running(parking):
        await parking.park("llm")
        engines["llm"].failure = PeerFailed("llm.unreachable", "no model server")
        with pytest.raises(PeerFailed):
            await parking.wake("llm")
        assert [entry.code for entry in degradation_board.degraded] == ["memory.llm_asleep"]
        assert "no model server" in degradation_board.degraded[0].message


async def test_there_are_only_the_engines_there_are(engines, degradation_board):
    with pytest.raises(NotFound, match="llm, tts, stt"):
        await parking_of(engines, degradation_board).park("vad")
