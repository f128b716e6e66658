"""One parkable engine: its users, and parking and waking that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from fake_engine_control import FakeEngineControl
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState
from service_kit.errors import AtCapacity, PeerFailed, Unsupported
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


@pytest.fixture
def engine() -> FakeEngineControl:
    return FakeEngineControl()


@pytest.fixture
async def parkable(engine) -> AsyncGenerator[ParkableEngine]:
    parkable = ParkableEngine("tts", engine, wake_timeout_s=0.3, park_timeout_s=0.3)
    running = asyncio.create_task(parkable.run())
    await asyncio.sleep(0.01)
    yield parkable
    await stop_task(running)


async def until(holds: Callable[[], bool], within_s: float = 4) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


async def test_use_wakes_a_parked_engine_and_waits_for_it(parkable, engine):
    await parkable.park()
    assert (parkable.state, engine.current_state) == (ParkingState.PARKED, ParkingState.PARKED)
    engine.move_s = 0.05
    async with parkable.use():
        assert parkable.state is ParkingState.AWAKE
    assert engine.moves == ["park", "wake"]


async def test_use_waits_at_most_its_limit(parkable, engine):
    await parkable.park()
    engine.move_s = 0.1
    async with parkable.use(wait_s=0.02):
        assert parkable.state is ParkingState.WAKING
    await until(lambda: parkable.state is ParkingState.AWAKE)


async def test_engine_in_use_is_not_parked(parkable, engine):
    async with parkable.use():
        with pytest.raises(AtCapacity) as refusal:
            await parkable.park()
    assert refusal.value.code == "tts.in_use"
    assert engine.moves == []
    await parkable.park()


async def test_use_during_parking_wakes_the_engine_afterwards(parkable, engine):
    engine.move_s = 0.05
    parking = asyncio.create_task(parkable.park())
    await asyncio.sleep(0.01)
    async with parkable.use():
        assert engine.moves == ["park", "wake"]
        assert parkable.state is ParkingState.AWAKE
    await parking


async def test_concurrent_uses_wake_the_engine_once(parkable, engine):
    await parkable.park()
    engine.move_s = 0.02

    async def use() -> None:
        async with parkable.use():
            assert engine.current_state is ParkingState.AWAKE

    await asyncio.gather(*(use() for _ in range(5)))
    assert engine.moves == ["park", "wake"]


async def test_failed_wake_is_reported_and_retried(parkable, engine):
    await parkable.park()
    engine.failure = PeerFailed("tts.unavailable", "the server is gone")
    parkable.request_wake()
    await until(lambda: parkable.reason == "the server is gone")
    assert parkable.state is ParkingState.PARKED
    engine.failure = None
    await until(lambda: parkable.state is ParkingState.AWAKE)
    assert parkable.reason == ""


async def test_explicit_wake_times_out(parkable, engine):
    await parkable.park()
    engine.move_s = 10
    with pytest.raises(PeerFailed) as late:
        await parkable.wake()
    assert late.value.code == "tts.wake_late"
    assert parkable.state is ParkingState.PARKED


async def test_explicit_wake_of_an_unparkable_engine_keeps_it_usable(parkable, engine):
    engine.current_state = ParkingState.FIXED
    await parkable.refresh()
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    with pytest.raises(Unsupported):
        await parkable.wake()
    async with asyncio.timeout(1), parkable.use():
        assert (parkable.state, parkable.reason) == (ParkingState.FIXED, "")


async def test_engine_restarted_as_unparkable_is_usable_at_once(parkable, engine):
    await parkable.park()
    engine.current_state = ParkingState.FIXED
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    async with asyncio.timeout(1), parkable.use():
        assert parkable.state is ParkingState.FIXED
    await asyncio.sleep(10)
    assert engine.moves == ["park", "wake"]


async def test_failed_explicit_wake_keeps_an_awake_engine_usable(parkable, engine):
    engine.failure = PeerFailed("tts.unavailable", "it restarts")
    with pytest.raises(PeerFailed):
        await parkable.wake()
    assert (parkable.state, parkable.reason) == (ParkingState.AWAKE, "")


async def test_unexpected_error_in_a_park_leaves_the_engine_awake(parkable, engine):
    engine.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await parkable.park()
    assert parkable.state is ParkingState.AWAKE


async def test_refused_park_leaves_the_engine_awake(parkable, engine):
    engine.failure = AtCapacity("tts.busy", "another client's phrase")
    with pytest.raises(AtCapacity):
        await parkable.park()
    assert parkable.state is ParkingState.AWAKE


async def test_changes_by_another_client_are_followed(parkable, engine):
    engine.current_state = ParkingState.PARKED
    await parkable.refresh()
    assert parkable.state is ParkingState.PARKED
    engine.current_state = ParkingState.WAKING
    await parkable.refresh()
    assert parkable.state is ParkingState.PARKED
    engine.current_state = ParkingState.FIXED
    await parkable.refresh()
    assert parkable.state is ParkingState.FIXED
    assert not parkable.is_idle


async def test_engine_that_refuses_work_as_parked_is_woken(parkable, engine):
    engine.current_state = ParkingState.PARKED
    parkable.on_found_parked()
    await until(lambda: parkable.state is ParkingState.AWAKE)
    assert engine.moves == ["wake"]


async def test_engine_parked_before_a_restart_is_found_parked():
    engine = FakeEngineControl()
    engine.current_state = ParkingState.PARKED
    parkable = ParkableEngine("tts", engine)
    running = asyncio.create_task(parkable.run())
    await until(lambda: parkable.state is ParkingState.PARKED)
    assert engine.moves == []
    await stop_task(running)
