"""`/ws/audio`, over a real server."""

from __future__ import annotations

import asyncio
import json

import pytest
from client_codec import client_to_json, server_from_json
from edges_support import TONE, FakeSessions, doors, manual_start, tone
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.full_duplex import converse
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

LIMITS = ApiLimits(first_message_s=60, bad_messages=3, goodbye_s=20)
IMPATIENT = ApiLimits(first_message_s=0.2, goodbye_s=0.2)


@pytest.fixture
def sessions():
    return FakeSessions(capacity=2)


@pytest.fixture
async def host(sessions):
    async with doors(sessions, LIMITS) as name:
        yield name


def opened(host: str) -> connect:
    return connect(f"ws://{host}/ws/audio", compression=None)


async def say(client: ClientConnection, message: ClientMessage) -> None:
    await client.send(client_to_json(message))


async def told(client: ClientConnection) -> ServerMessage | bytes:
    frame = await asyncio.wait_for(client.recv(), 20)
    return frame if isinstance(frame, bytes) else server_from_json(frame)


async def told_until(client: ClientConnection, last: type) -> list[ServerMessage | bytes]:
    heard: list[ServerMessage | bytes] = []
    while not heard or not isinstance(heard[-1], last):
        heard.append(await told(client))
    return heard


async def end_of(client: ClientConnection) -> tuple[list[ServerMessage | bytes], int, str]:
    """What is still said, and how the socket closes."""
    heard: list[ServerMessage | bytes] = []
    try:
        while True:
            heard.append(await told(client))
    except ConnectionClosed:
        return heard, client.close_code or 0, client.close_reason or ""


async def test_a_turn_goes_up_as_audio_and_comes_back_as_events_and_audio(host, sessions):
    async with opened(host) as client:
        await say(client, manual_start(reports_playback=True))
        assert isinstance(await told(client), SessionStarted)
        pcm = tone(0.5, 16_000).tobytes()
        for start in range(0, len(pcm), 640):
            await client.send(pcm[start : start + 640])
        await say(client, EndTurn())
        events = await told_until(client, ReplyAudio)
        assert TurnCommitted(1, "500 ms") in events
        assert await told(client) == TONE
        await say(client, PlaybackProgress(1, 300))
        assert isinstance((await told_until(client, ReplyFinished))[-1], ReplyFinished)
    await sessions.all_closed()
    assert sessions.heard == [pcm]


async def test_audio_at_another_rate_is_brought_to_16_khz_to_the_last_sample(host, sessions):
    async with opened(host) as client:
        await say(client, manual_start(sample_rate_hz=48_000))
        started = await told(client)
        assert started.microphone_sample_rate_hz == 48_000
        for _ in range(10):
            await client.send(bytes(1920))
        await say(client, EndTurn())
        await told_until(client, TurnCommitted)
    assert len(sessions.heard[0]) == 2 * 16 * 200


async def test_a_bad_message_is_answered_and_the_session_goes_on(host):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        await client.send(b"\x01\x02\x03")
        assert (await told(client)).code == "session.bad_audio"
        await say(client, SessionStart())
        assert (await told(client)).code == "session.already_started"
        await say(client, SetVoice("ada"))
        assert (await told(client)).voice == "ada"


async def test_too_many_bad_messages_end_the_session(host):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        for _ in range(3):
            await client.send("{}")
        heard, code, reason = await end_of(client)
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
async def test_a_session_that_cannot_begin_is_refused_with_its_reason(host, first, expected):
    async with opened(host) as client:
        await client.send(first)
        heard, code, reason = await end_of(client)
    assert [type(event) for event in heard] == [Error, SessionEnded]
    assert {event.code for event in heard} == {expected}
    assert (code, reason) == (1008, expected)


async def test_a_client_that_says_nothing_is_not_waited_for(sessions):
    async with doors(sessions, IMPATIENT) as host, opened(host) as client:
        heard, code, _ = await end_of(client)
    assert heard[-1].code == "session.start_timeout"
    assert code == 1008


async def test_a_client_that_leaves_without_a_word_leaves_nothing(host, sessions):
    async with opened(host):
        pass
    assert sessions.starts == []


async def test_a_conversation_has_one_client_at_a_time_and_can_be_resumed(host, sessions):
    async with opened(host) as first, opened(host) as second:
        await say(first, SessionStart())
        ticket = (await told(first)).ticket
        await say(first, TextInput("hello"))
        await told_until(first, ReplyFinished)
        await say(second, SessionStart(ticket=ticket))
        heard, code, _ = await end_of(second)
        assert heard[0].code == "session.already_open"
        assert code == 1008
    await sessions.all_closed()
    async with opened(host) as later:
        await say(later, SessionStart(ticket=ticket))
        assert (await told(later)).resumed


async def test_at_capacity_a_client_is_told_to_come_back(host, sessions):
    sessions.capacity = 0
    async with opened(host) as client:
        await say(client, SessionStart())
        heard, code, _ = await end_of(client)
    assert heard[0] == Error("session.at_capacity", "all places are taken", retryable=True)
    assert code == 1013


@pytest.mark.parametrize(
    ("text", "code", "close_code"),
    [("break", "stt.gone", 1011), ("leave", "tts.gone", 1011), ("crash", "session.internal", 1011)],
)
async def test_a_session_that_breaks_says_so_before_the_socket_closes(host, sessions, caplog, text, code, close_code):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        await say(client, TextInput(text))
        heard, closed_with, reason = await end_of(client)
    assert isinstance(heard[-1], SessionEnded)
    assert (heard[-1].code, closed_with, reason) == (code, close_code, code)
    assert "a bug" not in heard[-1].message
    assert ("a bug" in caplog.text) == (text == "crash")
    await sessions.all_closed()


async def test_hanging_up_ends_the_session(host, sessions):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        assert sessions.open_now == 1
    await sessions.all_closed()


async def test_a_frame_that_is_too_large_closes_the_socket(host, sessions):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        await client.send(bytes(65_538))
        _, code, _ = await end_of(client)
    assert code == 1009
    await sessions.all_closed()


async def test_text_that_is_too_long_is_refused(host):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        await say(client, TextInput("x" * 10_000))
        assert "longer than 8000" in (await told(client)).message


async def test_audio_runs_above_the_doors_own_bound_are_refused(sessions):
    async with doors(sessions, ApiLimits(audio_message_bytes=640)) as host, opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        await client.send(bytes(642))
        assert (await told(client)).code == "session.bad_audio"


class StuckWire:
    """A client that says its part, and takes nothing after the session has begun."""

    def __init__(self, *messages: ClientMessage) -> None:
        self._messages = list(messages)

    async def receive(self) -> ClientMessage | None:
        return self._messages.pop(0)

    async def send(self, message: ServerMessage) -> None:
        if not isinstance(message, SessionStarted):
            await asyncio.Event().wait()

    async def send_audio(self, pcm: bytes) -> None:
        await asyncio.Event().wait()


async def test_a_client_that_does_not_read_is_not_waited_for(sessions):
    async with asyncio.timeout(20):
        with pytest.raises(PeerFailed, match="nobody listens"):
            await converse(sessions, StuckWire(SessionStart(), TextInput("break")), IMPATIENT)
    assert sessions.open_now == 0


async def test_cancelling_goes_through_to_the_session(sessions):
    talking = asyncio.create_task(converse(sessions, StuckWire(SessionStart(), TextInput("hello")), LIMITS))
    async with asyncio.timeout(20):
        while not sessions.commands:
            await asyncio.sleep(0.005)
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert sessions.open_now == 0


async def test_a_connection_that_is_cut_ends_the_session(host, sessions):
    async with opened(host) as client:
        await say(client, SessionStart())
        await told(client)
        client.transport.abort()
        await sessions.all_closed()


async def test_frames_are_plain_json(host):
    async with opened(host) as client:
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
