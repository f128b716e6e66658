"""Clients that resume a session after a disconnect, take it over, or are refused."""

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
    """A registry with a capacity of two."""
    async with sessions() as registry:
        yield registry


async def test_client_resumes_its_session_after_a_disconnect(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    assert first.ended == []
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    assert again.started.resumed
    await again.disconnect()
    assert again.ended == ["session.closed_by_client"]


async def test_cancelled_call_counts_as_a_disconnect(registry):
    first = await SessionClient(registry).connect()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.wait_ended()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_client_that_ended_its_session_gets_a_new_one(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id != first.started.session_id
    await again.disconnect()


async def test_same_client_takes_over_from_its_stale_connection(registry):
    first = await SessionClient(registry).connect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket, session_id=first.started.session_id)
    assert again.started.session_id == first.started.session_id
    await first.wait_ended()
    assert first.ended == ["session.taken_over"]
    await again.disconnect()


async def test_silent_connection_is_taken_over(registry):
    first = await SessionClient(registry).connect()
    first.send_audio_frame()
    await asyncio.sleep(0.02)
    again = await SessionClient(registry).connect(ticket=first.started.ticket, received=ReplyReceived(1, 500))
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_active_connection_is_taken_over_on_request_only(registry):
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


async def test_client_with_other_turn_detection_gets_a_new_session(registry):
    first = await SessionClient(registry).connect()
    manual = TurnDetection.TURN_DETECTION_MANUAL
    other = await SessionClient(registry).connect(ticket=first.started.ticket, take_over=True, turn_detection=manual)
    assert other.started.session_id != first.started.session_id
    await first.wait_ended()
    assert first.ended == ["session.taken_over"]
    await other.disconnect()


async def test_unspecified_turn_detection_matches_automatic(registry):
    first = await SessionClient(registry).connect(turn_detection=TurnDetection.TURN_DETECTION_UNSPECIFIED)
    await first.disconnect(ConnectionDropped())
    automatic = TurnDetection.TURN_DETECTION_AUTOMATIC
    again = await SessionClient(registry).connect(ticket=first.started.ticket, turn_detection=automatic)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()


async def test_client_that_cannot_resume_gets_a_new_session(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    other = await SessionClient(registry, resumable=False).connect(ticket=first.started.ticket)
    assert other.started.session_id != first.started.session_id
    await other.disconnect(ConnectionDropped())
    third = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert third.started.session_id != other.started.session_id
    await third.disconnect()


async def test_disconnected_session_gives_way_at_capacity():
    async with sessions(capacity=1) as registry:
        first = await SessionClient(registry).connect()
        with pytest.raises(AtCapacity):
            await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        second = await SessionClient(registry).connect()
        await second.disconnect()


async def test_session_ends_without_a_reconnect():
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


async def test_closed_page_is_awaited_for_a_shorter_time(registry, caplog):
    caplog.set_level("INFO")
    waits_s = []
    for how in (ConnectionDropped(), PageClosed()):
        client = await SessionClient(registry).connect()
        await client.disconnect(how)
        await asyncio.sleep(0.05)
        waits_s.append([record.waits_s for record in caplog.records if record.message == "connection lost"][-1])
    assert waits_s == [30, 5]


async def test_session_without_content_ends_at_disconnect():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect(user_text="")
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.05)
    assert counts == [1, 0]


async def test_deleted_conversation_ends_its_disconnected_session():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        await registry.end_conversation(first.started.ticket)
        await asyncio.sleep(0.05)
    assert counts == [1, 0]


async def test_session_of_a_deleted_conversation_ends_at_disconnect():
    counts: list[int] = []
    async with sessions(on_session_count=counts.append) as registry:
        first = await SessionClient(registry).connect()
        await registry.end_conversation(first.started.ticket)
        await asyncio.sleep(0.02)
        assert counts == [1]
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.02)
        assert counts == [1, 0]


async def test_shutdown_closes_connections_without_session_ended():
    async with sessions() as registry:
        first = await SessionClient(registry).connect()
        second = await SessionClient(registry).connect()
        await second.disconnect(ConnectionDropped())
    await first.wait_ended()
    assert first.ended == []


async def test_concurrent_reconnects_leave_one_client_connected(registry):
    first = await SessionClient(registry).connect()
    await first.disconnect(ConnectionDropped())
    known = {"ticket": first.started.ticket, "session_id": first.started.session_id}
    clients = await asyncio.gather(*(SessionClient(registry).connect(**known) for _ in range(3)))
    async with asyncio.timeout(3):
        while sum(not client.ended for client in clients) > 1:
            await asyncio.sleep(0.01)
    (last,) = (client for client in clients if not client.ended)
    await last.disconnect()


async def test_ending_session_is_not_resumed():
    async with sessions(stt=SlowToClose(), resume_s=0.05) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        await asyncio.sleep(0.1)
        again = await SessionClient(registry).connect(ticket=first.started.ticket, session_id=first.started.session_id)
        assert again.started.session_id != first.started.session_id
        await again.disconnect()
        assert again.ended == ["session.closed_by_client"]


async def test_client_reconnects_while_its_ended_session_closes():
    async with sessions(stt=SlowToClose()) as registry:
        first = await SessionClient(registry).connect()
        first.end_session()
        await asyncio.sleep(0.01)
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        await first.wait_ended()
        assert first.ended == ["session.closed_by_client"]
        await again.disconnect()


async def test_one_free_place_is_given_to_one_client():
    async with sessions(stt=SlowToClose(), capacity=1) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        came = await asyncio.gather(*(SessionClient(registry).connect() for _ in range(2)), return_exceptions=True)
        (second,) = (client for client in came if isinstance(client, SessionClient))
        assert [client.code for client in came if isinstance(client, AtCapacity)] == ["session.at_capacity"]
        await second.disconnect()


async def test_longest_disconnected_session_gives_way_at_capacity(registry):
    first, second = await SessionClient(registry).connect(), await SessionClient(registry).connect()
    await second.disconnect(ConnectionDropped())
    await asyncio.sleep(0.01)
    await first.disconnect(ConnectionDropped())
    third = await SessionClient(registry).connect()
    again = await SessionClient(registry).connect(ticket=first.started.ticket)
    assert again.started.session_id == first.started.session_id
    await again.disconnect()
    await third.disconnect()


async def test_reconnected_client_is_not_ended_by_an_old_timer():
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


async def test_commands_of_a_replaced_client_are_ignored(registry):
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


async def test_refused_client_evicts_no_session():
    async with sessions(capacity=1) as registry:
        first = await SessionClient(registry).connect()
        await first.disconnect(ConnectionDropped())
        with pytest.raises(InvalidRequest):
            await SessionClient(registry).connect(persona="nobody")
        again = await SessionClient(registry).connect(ticket=first.started.ticket)
        assert again.started.session_id == first.started.session_id
        await again.disconnect()


async def test_long_replies_can_be_replayed():
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
