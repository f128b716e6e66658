"""One engine's rest: who uses it, and what becomes of moves that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.model.bulletin import Bulletin
from orchestrator.memory_pressure.engine_parking import Parking
from orchestrator.memory_pressure.parked_engine import Rest, State
from parked_engine_double import Engine
from service_kit.errors import AtCapacity, NotFound, PeerFailed, Unsupported
from service_kit.tasks import stop_task

pytestmark = pytest.mark.virtual_clock


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def rest(engine) -> AsyncGenerator[Rest]:
    rest = Rest("tts", engine, wake_within_s=0.3, park_within_s=0.3)
    running = asyncio.create_task(rest.run())
    await asyncio.sleep(0.01)
    yield rest
    await stop_task(running)


async def until(holds: Callable[[], bool], within_s: float = 4) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.002)


async def test_whoever_uses_a_parked_engine_wakes_it_and_waits_for_it(rest, engine):
    await rest.park()
    assert (rest.state, engine.now) == (State.PARKED, State.PARKED)
    engine.move_s = 0.05
    async with rest.in_use():
        assert rest.state is State.AWAKE
    assert engine.moves == ["park", "wake"]


async def test_a_use_waits_no_longer_than_it_says(rest, engine):
    await rest.park()
    engine.move_s = 0.1
    async with rest.in_use(wait_s=0.02):
        assert rest.state is State.WAKING
    await until(lambda: rest.state is State.AWAKE)


async def test_an_engine_that_is_used_is_not_parked(rest, engine):
    async with rest.in_use():
        with pytest.raises(AtCapacity) as refusal:
            await rest.park()
    assert refusal.value.code == "tts.in_use"
    assert engine.moves == []
    await rest.park()


async def test_a_use_that_comes_while_the_engine_is_being_parked_wakes_it_afterwards(rest, engine):
    engine.move_s = 0.05
    parking = asyncio.create_task(rest.park())
    await asyncio.sleep(0.01)
    async with rest.in_use():
        assert engine.moves == ["park", "wake"]
        assert rest.state is State.AWAKE
    await parking


async def test_many_who_need_it_at_once_wake_it_once(rest, engine):
    await rest.park()
    engine.move_s = 0.02

    async def use() -> None:
        async with rest.in_use():
            assert engine.now is State.AWAKE

    await asyncio.gather(*(use() for _ in range(5)))
    assert engine.moves == ["park", "wake"]


async def test_a_wake_that_fails_is_told_and_tried_again(rest, engine):
    await rest.park()
    engine.failure = PeerFailed("tts.unavailable", "the server is gone")
    rest.rouse()
    await until(lambda: rest.reason == "the server is gone")
    assert rest.state is State.PARKED
    engine.failure = None
    await until(lambda: rest.state is State.AWAKE)
    assert rest.reason == ""


async def test_a_wake_by_hand_that_takes_too_long_is_an_error(rest, engine):
    await rest.park()
    engine.move_s = 10
    with pytest.raises(PeerFailed) as late:
        await rest.wake()
    assert late.value.code == "tts.wake_late"
    assert rest.state is State.PARKED


async def test_a_wake_by_hand_of_what_cannot_be_parked_keeps_nobody_from_it(rest, engine):
    engine.now = State.FIXED
    await rest.look()
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    with pytest.raises(Unsupported):
        await rest.wake()
    async with asyncio.timeout(1), rest.in_use():
        assert (rest.state, rest.reason) == (State.FIXED, "")


async def test_an_engine_that_came_back_as_one_that_cannot_be_parked_keeps_nobody_waiting(rest, engine):
    await rest.park()
    engine.now = State.FIXED
    engine.failure = Unsupported("tts.not_parkable", "it holds no memory")
    async with asyncio.timeout(1), rest.in_use():
        assert rest.state is State.FIXED
    await asyncio.sleep(10)
    assert engine.moves == ["park", "wake"]


async def test_a_wake_by_hand_that_fails_leaves_an_engine_that_is_awake_to_those_who_use_it(rest, engine):
    engine.failure = PeerFailed("tts.unavailable", "it restarts")
    with pytest.raises(PeerFailed):
        await rest.wake()
    assert (rest.state, rest.reason) == (State.AWAKE, "")


async def test_a_move_that_breaks_leaves_nobody_waiting_for_its_end(rest, engine):
    engine.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await rest.park()
    assert rest.state is State.AWAKE


async def test_a_park_that_is_refused_leaves_the_engine_as_it_was(rest, engine):
    engine.failure = AtCapacity("tts.busy", "somebody else's phrase")
    with pytest.raises(AtCapacity):
        await rest.park()
    assert rest.state is State.AWAKE


async def test_what_another_did_to_the_engine_is_seen(rest, engine):
    engine.now = State.PARKED
    await rest.look()
    assert rest.state is State.PARKED
    engine.now = State.WAKING
    await rest.look()
    assert rest.state is State.PARKED
    engine.now = State.FIXED
    await rest.look()
    assert rest.state is State.FIXED
    assert not rest.is_idle


async def test_an_engine_that_refused_work_for_being_parked_is_woken(rest, engine):
    engine.now = State.PARKED
    rest.found_parked()
    await until(lambda: rest.state is State.AWAKE)
    assert engine.moves == ["wake"]


async def test_a_new_orchestrator_finds_what_an_old_one_parked():
    engine = Engine()
    engine.now = State.PARKED
    rest = Rest("tts", engine)
    running = asyncio.create_task(rest.run())
    await until(lambda: rest.state is State.PARKED)
    assert engine.moves == []
    await stop_task(running)


# All engines ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(parking: Parking) -> AsyncGenerator[None]:
    task = asyncio.create_task(parking.run())
    await asyncio.sleep(0.01)
    yield
    await stop_task(task)


@pytest.fixture
def engines() -> dict[str, Engine]:
    return {"llm": Engine(), "tts": Engine(), "stt": Engine()}


@pytest.fixture
def bulletin() -> Bulletin:
    return Bulletin()


def parking_of(engines: dict[str, Engine], bulletin: Bulletin, **rules: float) -> Parking:
    return Parking({name: Rest(name, engine) for name, engine in engines.items()}, bulletin, **rules)


async def test_when_nobody_has_been_here_for_long_all_are_parked_and_a_session_wakes_them(engines, bulletin):
    parking = parking_of(engines, bulletin, after_idle_s=0.2)
    async with running(parking):
        parking.attend(1)
        await asyncio.sleep(1.2)
        assert all(engine.now is State.AWAKE for engine in engines.values())
        parking.attend(0)
        await until(lambda: all(rest.state is State.PARKED for rest in parking.rests.values()))
        engines["tts"].move_s = 0.1
        parking.attend(1)
        await until(lambda: bool(bulletin.degraded))
        assert bulletin.degraded[0].code in {"memory.tts_waking", "memory.llm_waking", "memory.stt_waking"}
        await until(lambda: all(rest.state is State.AWAKE for rest in parking.rests.values()))
        assert bulletin.degraded == ()


async def test_without_a_schedule_nothing_is_parked(engines, bulletin):
    parking = parking_of(engines, bulletin)
    async with running(parking):
        await asyncio.sleep(1.2)
    assert not any(engine.moves for engine in engines.values())


async def test_what_memory_is_wanted_of_rests_while_idle_and_is_left_in_peace_by_a_new_session(engines, bulletin):
    parking = parking_of(engines, bulletin, linger_s=0.05)
    async with running(parking):
        parking.attend(1)
        parking.want({"llm"})
        await until(lambda: parking.rests["llm"].state is State.PARKED)
        parking.attend(2)
        await asyncio.sleep(0.05)
        assert engines["llm"].now is State.PARKED
        assert parking.describe()["llm"] == {"state": "parked", "in_use": False, "wanted": True, "reason": ""}
        parking.want(())
        await until(lambda: engines["llm"].now is State.AWAKE)
    assert engines["tts"].moves == engines["stt"].moves == []


async def test_an_engine_that_refuses_is_asked_again_later_not_at_once(engines, bulletin):
    engines["tts"].failure = AtCapacity("tts.busy", "somebody speaks")
    parking = parking_of(engines, bulletin, linger_s=0.0)
    async with running(parking):
        parking.want({"tts"})
        await until(lambda: bool(engines["tts"].moves))
        await asyncio.sleep(1.2)
    assert engines["tts"].moves == ["park"]


async def test_an_engine_that_turns_out_not_to_be_parkable_is_not_asked_again(engines, bulletin):
    engines["stt"].failure = Unsupported("stt.not_parkable", "the server has no sleep mode")
    parking = parking_of(engines, bulletin, after_idle_s=1)
    async with running(parking):
        await asyncio.sleep(120)
    assert engines["stt"].moves == ["park"]


async def test_what_does_not_answer_is_not_parked_over_and_over(engines, bulletin):
    engines["stt"].away = PeerFailed("stt.unavailable", "nobody there")
    parking = parking_of(engines, bulletin, after_idle_s=1)
    async with running(parking):
        await asyncio.sleep(60)
        assert engines["stt"].moves == []
        engines["stt"].away = None
        await asyncio.sleep(10)
    assert engines["stt"].moves == ["park"]


async def test_an_engine_that_does_not_wake_is_on_the_bulletin_with_the_reason(engines, bulletin):
    parking = parking_of(engines, bulletin)
    async with running(parking):
        await parking.park("llm")
        engines["llm"].failure = PeerFailed("llm.unreachable", "no model server")
        with pytest.raises(PeerFailed):
            await parking.wake("llm")
        assert [entry.code for entry in bulletin.degraded] == ["memory.llm_asleep"]
        assert "no model server" in bulletin.degraded[0].message


async def test_there_are_only_the_engines_there_are(engines, bulletin):
    with pytest.raises(NotFound, match="llm, tts, stt"):
        await parking_of(engines, bulletin).park("vad")
