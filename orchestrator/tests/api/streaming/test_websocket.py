"""`/ws/audio` over a real server."""

from __future__ import annotations

import asyncio
import json

import pytest
from api_support import TONE, FakeSessions, manual_start, serve_apis, tone
from client_codec import client_to_json, server_from_json
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.full_duplex import run_session
from orchestrator.conversation.messages.client import (
    ClientMessage,
    EndTurn,
    PlaybackProgress,
    SessionStart,
    SetVoice,
    TextInput,
)
from orchestrator.conversation.messages.server import (
    Error,
    ReplyAudio,
    ReplyFinished,
    ServerMessage,
    SessionEnded,
    SessionStarted,
    TurnCommitted,
)
from service_kit.errors import PeerFailed
from websockets import ConnectionClosed
from websockets.asyncio.client import ClientConnection, connect

LIMITS = ApiLimits(first_message_timeout_s=60, max_bad_messages=3, close_timeout_s=20)
IMPATIENT = ApiLimits(first_message_timeout_s=0.2, close_timeout_s=0.2)


@pytest.fixture
def sessions():
    return FakeSessions(capacity=2)


@pytest.fixture
async def host(sessions):
    async with serve_apis(sessions, LIMITS) as name:
        yield name


def connect_to(host: str) -> connect:
    return connect(f"ws://{host}/ws/audio", compression=None)


async def send_message(client: ClientConnection, message: ClientMessage) -> None:
    await client.send(client_to_json(message))


async def receive(client: ClientConnection) -> ServerMessage | bytes:
    frame = await asyncio.wait_for(client.recv(), 20)
    return frame if isinstance(frame, bytes) else server_from_json(frame)


async def receive_until(client: ClientConnection, last: type) -> list[ServerMessage | bytes]:
    heard: list[ServerMessage | bytes] = []
    while not heard or not isinstance(heard[-1], last):
        heard.append(await receive(client))
    return heard


async def read_to_end(client: ClientConnection) -> tuple[list[ServerMessage | bytes], int, str]:
    """Return the remaining messages, and the close code and reason."""
    heard: list[ServerMessage | bytes] = []
    try:
        while True:
            heard.append(await receive(client))
    except ConnectionClosed:
        return heard, client.close_code or 0, client.close_reason or ""


async def test_turn_returns_events_and_audio(host, sessions):
    async with connect_to(host) as client:
        await send_message(client, manual_start(reports_playback=True))
        assert isinstance(await receive(client), SessionStarted)
        pcm = tone(0.5, 16_000).tobytes()
        for start in range(0, len(pcm), 640):
            await client.send(pcm[start : start + 640])
        await send_message(client, EndTurn())
        events = await receive_until(client, ReplyAudio)
        assert TurnCommitted(1, "500 ms") in events
        assert await receive(client) == TONE
        await send_message(client, PlaybackProgress(1, 300))
        assert isinstance((await receive_until(client, ReplyFinished))[-1], ReplyFinished)
    await sessions.wait_all_closed()
    assert sessions.heard == [pcm]


async def test_audio_is_resampled_to_16_khz_to_the_last_sample(host, sessions):
    async with connect_to(host) as client:
        await send_message(client, manual_start(sample_rate_hz=48_000))
        started = await receive(client)
        assert started.microphone_sample_rate_hz == 48_000
        for _ in range(10):
            await client.send(bytes(1920))
        await send_message(client, EndTurn())
        await receive_until(client, TurnCommitted)
    assert len(sessions.heard[0]) == 2 * 16 * 200


async def test_session_continues_after_a_bad_message(host):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        await client.send(b"\x01\x02\x03")
        assert (await receive(client)).code == "session.bad_audio"
        await send_message(client, SessionStart())
        assert (await receive(client)).code == "session.already_started"
        await send_message(client, SetVoice("ada"))
        assert (await receive(client)).voice == "ada"


async def test_too_many_bad_messages_end_the_session(host):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        for _ in range(3):
            await client.send("{}")
        heard, code, reason = await read_to_end(client)
    assert [event.code for event in heard] == ["session.bad_message"] * 2 + ["session.too_many_bad_messages"] * 2
    assert isinstance(heard[-1], SessionEnded)
    assert (code, reason) == (1008, "session.too_many_bad_messages")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("garbage", "session.bad_message"),
        (b"\0\0", "session.start_expected"),
        ('{"type":"end_turn"}', "session.start_expected"),
        ('{"type":"session_start","sample_rate_hz":7999}', "session.bad_sample_rate"),
        ('{"type":"session_start","sample_rate_hz":48001}', "session.bad_sample_rate"),
        ('{"type":"session_start","language":"xx"}', "session.unknown_language"),
        ('{"type":"session_start","ticket":"lost"}', "session.unknown_ticket"),
    ],
)
async def test_invalid_start_is_refused_with_the_reason(host, first, expected):
    async with connect_to(host) as client:
        await client.send(first)
        heard, code, reason = await read_to_end(client)
    assert [type(event) for event in heard] == [Error, SessionEnded]
    assert {event.code for event in heard} == {expected}
    assert (code, reason) == (1008, expected)


async def test_silent_client_times_out(sessions):
    async with serve_apis(sessions, IMPATIENT) as host, connect_to(host) as client:
        heard, code, _ = await read_to_end(client)
    assert heard[-1].code == "session.start_timeout"
    assert code == 1008


async def test_client_that_closes_before_its_start_opens_no_session(host, sessions):
    async with connect_to(host):
        pass
    assert sessions.starts == []


async def test_conversation_has_one_client_and_can_be_resumed(host, sessions):
    async with connect_to(host) as first, connect_to(host) as second:
        await send_message(first, SessionStart())
        ticket = (await receive(first)).ticket
        await send_message(first, TextInput("hello"))
        await receive_until(first, ReplyFinished)
        await send_message(second, SessionStart(ticket=ticket))
        heard, code, _ = await read_to_end(second)
        assert heard[0].code == "session.already_open"
        assert code == 1008
    await sessions.wait_all_closed()
    async with connect_to(host) as later:
        await send_message(later, SessionStart(ticket=ticket))
        assert (await receive(later)).resumed


async def test_client_at_capacity_gets_a_retryable_error(host, sessions):
    sessions.capacity = 0
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        heard, code, _ = await read_to_end(client)
    assert heard[0] == Error("session.at_capacity", "all sessions are taken", retryable=True)
    assert code == 1013


@pytest.mark.parametrize(
    ("text", "code", "close_code"),
    [
        ("break", "stt.gone", 1011),
        ("leave", "tts.gone", 1011),
        ("crash", "session.internal", 1011),
        ("move", "session.moving", 1012),
    ],
)
async def test_failed_session_reports_its_error_before_closing(host, sessions, caplog, text, code, close_code):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        await send_message(client, TextInput(text))
        heard, closed_with, reason = await read_to_end(client)
    assert isinstance(heard[-1], SessionEnded)
    assert (heard[-1].code, closed_with, reason) == (code, close_code, code)
    assert "a bug" not in heard[-1].message
    assert ("a bug" in caplog.text) == (text == "crash")
    await sessions.wait_all_closed()


async def test_disconnect_ends_the_session(host, sessions):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        assert sessions.open_count == 1
    await sessions.wait_all_closed()


async def test_oversized_frame_closes_the_socket(host, sessions):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        await client.send(bytes(65_538))
        _, code, _ = await read_to_end(client)
    assert code == 1009
    await sessions.wait_all_closed()


async def test_overlong_text_is_refused(host):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        await send_message(client, TextInput("x" * 10_000))
        assert "longer than 8000" in (await receive(client)).message


async def test_oversized_audio_messages_are_refused(sessions):
    async with serve_apis(sessions, ApiLimits(max_audio_message_bytes=640)) as host, connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        await client.send(bytes(642))
        assert (await receive(client)).code == "session.bad_audio"


class UnreadTransport:
    """A transport that sends its messages, and accepts nothing after `session_started`."""

    def __init__(self, *messages: ClientMessage) -> None:
        self._messages = list(messages)

    async def receive(self) -> ClientMessage | None:
        return self._messages.pop(0)

    async def send(self, message: ServerMessage) -> None:
        if not isinstance(message, SessionStarted):
            await asyncio.Event().wait()

    async def send_audio(self, pcm: bytes) -> None:
        await asyncio.Event().wait()


async def test_client_that_does_not_read_is_abandoned(sessions):
    async with asyncio.timeout(20):
        with pytest.raises(PeerFailed, match="speech to text failed"):
            await run_session(sessions, UnreadTransport(SessionStart(), TextInput("break")), IMPATIENT)
    assert sessions.open_count == 0


async def test_cancellation_reaches_the_session(sessions):
    talking = asyncio.create_task(run_session(sessions, UnreadTransport(SessionStart(), TextInput("hello")), LIMITS))
    async with asyncio.timeout(20):
        while not sessions.commands:
            await asyncio.sleep(0.005)
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert sessions.open_count == 0


async def test_broken_connection_ends_the_session(host, sessions):
    async with connect_to(host) as client:
        await send_message(client, SessionStart())
        await receive(client)
        client.transport.abort()
        await sessions.wait_all_closed()


async def test_frames_are_plain_json(host):
    async with connect_to(host) as client:
        await client.send('{"type":"session_start","language":"de","voice":"ada"}')
        assert json.loads(await client.recv()) == {
            "type": "session_started",
            "session_id": "s1",
            "ticket": "ticket-1",
            "language": "de",
            "voice": "ada",
            "persona": "anchor",
            "microphone_sample_rate_hz": 16_000,
            "anchor_sample_rate_hz": 24_000,
            "resumed": False,
            "patience": 1.0,
        }
