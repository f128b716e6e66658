"""Who gets a live session: its own client when that comes back, whoever takes over, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from orchestrator.conversation.connection.connection import Connection
from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.messages.client import (
    ReplyReceived,
    RequestStatus,
    SessionStart,
    SetPatience,
    TurnDetection,
)
from orchestrator.conversation.messages.server import (
    SessionUpdated,
    SpeechMark,
    SpeechStarted,
)
from orchestrator.conversation.messages.system_status import SystemStatus
from orchestrator.conversation.model.ports import ConnectionDropped, PageClosed
from orchestrator.conversation.session.registry import SessionRegistry
from service_kit.errors import AtCapacity, InvalidRequest
from session_client import NonReadingClient, SessionClient, SlowToClose, sessions

pytestmark = pytest.mark.virtual_clock


@pytest.fixture
async def registry() -> AsyncGenerator[SessionRegistry]:
    """Open to two clients."""
    async with sessions() as registry:
        yield registry


async def test_a_client_that_comes_back_finds_its_session(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    assert first.ended == []
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    assert again.started.resumed
    await again.disconnect()
    assert again.ended == ["session.closed_by_client"]


async def test_a_call_that_is_cancelled_is_a_line_that_dropped(registry):
    first = await SessionClient(registry).connect()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.wait_ended()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_a_client_that_hangs_up_finds_another_session(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id != first.started.session_id
    await again.disconnect()


async def test_the_same_client_needs_not_wait_until_its_old_line_is_known_to_be_dead(registry):
    first = await SessionClient(registry).connect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket, session_id=first.started.session_id)
    assert again.started.session_id == first.started.session_id
    await first.wait_ended()
    assert first.ended == ["session.taken_over"]
    await again.disconnect()


async def test_a_line_that_fell_silent_gives_way(registry):
    first = await SessionClient(registry).connect()
    first.send_audio_frame()
    await asyncio.sleep(0.02)
    again = await SessionClient(registry).connect(ticket=first.started.ticket, received=ReplyReceived(1, 500))
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_a_line_in_use_does_not(registry):
    first = await SessionClient(registry).connect()
    first.send_audio_frame()

    async def talk() -> None:
        while True:
            await asyncio.sleep(0.02)
            first.send_audio_frame()

    talking = asyncio.create_task(talk())
    with pytest.raises(InvalidRequest) as refused:
        await SessionClient(registry).connect(ticket=first.started.ticket)
    assert refused.value.code == "session.already_open"
    other = await SessionClient(registry).connect(ticket=first.started.ticket, take_over=True)
    assert other.started.session_id == first.started.session_id
    talking.cancel()
    await first.wait_ended()
    assert first.ended == ["session.taken_over"]
    await other.disconnect()


async def test_a_client_of_another_kind_gets_a_session_of_its_own(registry):
    first = await SessionClient(registry).connect()
    manual = TurnDetection.TURN_DETECTION_MANUAL
    other = await SessionClient(registry).connect(ticket=first.started.ticket, take_over=True, turn_detection=manual)
    assert other.started.session_id != first.started.session_id
    await first.wait_ended()
    assert first.ended == ["session.taken_over"]
    await other.disconnect()


async def test_who_leaves_the_turns_to_the_anchor_is_of_one_kind(registry):
    first = await SessionClient(registry).connect(turn_detection=TurnDetection.TURN_DETECTION_UNSPECIFIED)
    await first.disconnect(ConnectionDropped())
    automatic = TurnDetection.TURN_DETECTION_AUTOMATIC
    again = await SessionClient(registry).connect(ticket=first.started.ticket, turn_detection=automatic)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_an_exchange_does_not_go_on_with_what_was_left(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    other = await SessionClient(registry, resumable=False).connect(ticket=first.started.ticket)
    assert other.started.session_id != first.started.session_id
    await other.disconnect(ConnectionDropped())
    third = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert third.started.session_id != other.started.session_id
    await third.disconnect()


async def test_sessions_without_a_client_give_way_to_one():
    async with sessions(capacity=1) as registry:
        first = await SessionClient(registry).connect()
        with pytest.raises(AtCapacity):
            await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        second = await SessionClient(registry).connect()
        await second.disconnect()


async def test_a_session_that_nobody_comes_back_to_ends():
    counts: list[int] = []
    async with sessions(resume_s=0.05, on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        assert counts == [1]
        await asyncio.sleep(0.2)
        assert counts == [1, 0]
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        assert again.started.session_id != first.started.session_id
        await again.disconnect()


async def test_a_page_that_was_left_is_not_waited_for_as_long_as_a_line_that_broke(registry, caplog):
    caplog.set_level("INFO")
    waits_s = []
    for how in (ConnectionDropped(), PageClosed()):
        client = await SessionClient(registry).connect()
        await client.disconnect(how)
        await asyncio.sleep(0.05)
        waits_s.append([record.waits_s for record in caplog.records if record.message == "connection lost"][-1])
    assert waits_s == [30, 5]


async def test_a_session_in_which_nothing_was_said_is_not_waited_for():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect(user_text="")
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.05)
    assert counts == [1, 0]


async def test_a_forgotten_conversation_takes_the_waiting_session_along():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        registry.end_conversation(first.started.ticket)
        await asyncio.sleep(0.05)
    assert counts == [1, 0]


async def test_nobody_is_waited_for_in_a_conversation_that_was_forgotten():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect()
        registry.end_conversation(first.started.ticket)
        await asyncio.sleep(0.02)
        assert counts == [1]
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.02)
        assert counts == [1, 0]


async def test_a_server_that_goes_away_hangs_up_without_a_last_word():
    async with sessions() as registry:
        first = await SessionClient(registry).connect()
        second = await SessionClient(registry).connect()
        await second.disconnect(ConnectionDropped())
    await first.wait_ended()
    assert first.ended == []


async def test_two_who_come_back_at_once_do_not_lock_each_other_out(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    known = {"ticket": first.started.ticket, "session_id": first.started.session_id}
    clients = await asyncio.gather(*(SessionClient(registry).connect(**known) for _ in range(3)))
    async with asyncio.timeout(3):
        while sum(not client.ended for client in clients) > 1:
            await asyncio.sleep(0.01)
    (last,) = (client for client in clients if not client.ended)
    await last.disconnect()


async def test_a_session_that_is_just_ending_is_not_gone_on_with():
    async with sessions(stt=SlowToClose(), resume_s=0.05) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.1)
        again = await SessionClient(registry).connect(ticket=first.started.ticket, session_id=first.started.session_id)
        assert again.started.session_id != first.started.session_id
        await again.disconnect()
        assert again.ended == ["session.closed_by_client"]


async def test_a_client_that_hung_up_is_not_in_its_own_way():
    async with sessions(stt=SlowToClose()) as registry:
        first = await SessionClient(registry).connect()
        first.end_session()
        await asyncio.sleep(0.01)
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        await first.wait_ended()
        assert first.ended == ["session.closed_by_client"]
        await again.disconnect()


async def test_one_place_is_not_given_to_two():
    async with sessions(stt=SlowToClose(), capacity=1) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        came = await asyncio.gather(*(SessionClient(registry).connect() for _ in range(2)), return_exceptions=True)
        (second,) = (client for client in came if isinstance(client, SessionClient))
        assert [client.code for client in came if isinstance(client, AtCapacity)] == ["session.at_capacity"]
        await second.disconnect()


async def test_the_session_that_waits_longest_gives_way(registry):
    first, second = await SessionClient(registry).connect(), await SessionClient(registry).connect()
    await second.disconnect(ConnectionDropped())
    await asyncio.sleep(0.01)
    await first.disconnect(ConnectionDropped())
    third = await SessionClient(registry).connect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()
    await third.disconnect()


async def test_who_stays_is_not_put_out_for_having_dropped_twice_before():
    async with sessions(resume_s=0.2) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        start = SessionStart(ticket=first.started.ticket)
        for _ in range(2):
            async with registry.open(start, first, resumable=True):
                pass
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        assert again.started.session_id == first.started.session_id
        await asyncio.sleep(0.3)
        assert again.ended == []
        await again.disconnect()


async def test_who_was_taken_over_from_has_no_say_any_more(registry):
    first = await NonReadingClient(registry).connect()
    other = await SessionClient(registry).connect(ticket=first.started.ticket, take_over=True)
    first.send_command(SetPatience(2.0))
    other.send_command(RequestStatus())
    async with asyncio.timeout(3):
        while not any(isinstance(message, SystemStatus) for message in other.received):
            await asyncio.sleep(0.005)
    assert [message.patience for message in other.received if isinstance(message, SessionUpdated)] == [1.0]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.wait_ended()
    await other.disconnect()


async def test_nobody_gives_way_to_one_who_is_refused():
    async with sessions(capacity=1) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        with pytest.raises(InvalidRequest):
            await SessionClient(registry).connect(persona="nobody")
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        assert again.started.session_id == first.started.session_id
        await again.disconnect()


async def test_long_replies_can_be_told_again():
    outbox = Outbox()
    for turn_id in (1, 2, 3):
        for number in range(3_000):
            outbox.send(SpeechMark(turn_id, 6 * number, 6 * number + 5, 200 * number))
    client = SessionClient(sessions())
    connection = Connection(client)
    outbox.connect(connection, ())
    outbox.send(SpeechStarted(1))
    connection.close(None)
    await connection.run_sender()
    assert len(client.received) == 9_001
