"""`/ws`, over a real server."""

from __future__ import annotations

import asyncio
import json
import wave
from dataclasses import replace
from io import BytesIO

import pytest
from edges_support import TONE, TONE_MS, FakeSessions, doors, recording, tone
from orchestrator.api.limits import ApiLimits
from websockets import ConnectionClosed
from websockets.asyncio.client import ClientConnection, connect

LIMITS = ApiLimits(upload_bytes=400_000, upload_audio_s=5, uploads=1, bad_messages=4, decode_s=60, goodbye_s=20)
END = json.dumps({"type": "end_stream"})


@pytest.fixture
def sessions():
    return FakeSessions()


@pytest.fixture
async def host(sessions):
    async with doors(sessions, LIMITS) as name:
        yield name


def opened(host: str) -> connect:
    return connect(f"ws://{host}/ws", compression=None)


async def told(client: ClientConnection) -> dict:
    return json.loads(await asyncio.wait_for(client.recv(), 20))


async def answer_to(client: ClientConnection, data: bytes, piece: int = 30_000) -> tuple[dict, bytes]:
    for start in range(0, len(data), piece):
        await client.send(data[start : start + piece])
    await client.send(END)
    metadata = await told(client)
    assert metadata["type"] == "metadata", metadata
    file = bytearray()
    while isinstance(frame := await asyncio.wait_for(client.recv(), 20), bytes):
        file += frame
    assert json.loads(frame) == {"type": "audio_complete", "turn_id": metadata["turn_id"]}
    assert metadata["audio_bytes"] == len(file)
    with wave.open(BytesIO(file)) as reader:
        assert reader.getframerate() == metadata["sample_rate_hz"] == 24_000
        return metadata, reader.readframes(reader.getnframes())


async def refusal(client: ClientConnection, *frames: str | bytes) -> str:
    for frame in frames:
        await client.send(frame)
    error = await told(client)
    assert error["type"] == "error", error
    return error["code"]


async def closing(client: ClientConnection) -> tuple[int | None, str | None]:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 20)
    return client.close_code, client.close_reason


async def test_recordings_are_answered_one_after_another_in_one_conversation(host, sessions):
    async with opened(host) as client:
        metadata, pcm = await answer_to(client, recording("webm", "libopus", 1.0))
        assert pcm == TONE
        assert (metadata["ticket"], metadata["turn_id"], metadata["language"]) == ("ticket-1", 1, "de")
        assert metadata["duration_ms"] == TONE_MS
        assert metadata["reply"].startswith("You said ")
        metadata, _ = await answer_to(client, recording("wav", "pcm_s16le", 0.5))
        assert (metadata["ticket"], metadata["turn_id"], metadata["transcript"]) == ("ticket-1", 2, "500 ms")
    assert [start.ticket for start in sessions.starts] == ["", "ticket-1"]


async def test_raw_samples_are_taken_where_they_are_announced(host, sessions):
    async with opened(host) as client:
        await client.send(json.dumps({"type": "start", "format": "pcm16", "sample_rate_hz": 8_000, "voice": "ada"}))
        metadata, _ = await answer_to(client, tone(0.5, 8_000).tobytes(), piece=641)
    assert metadata["transcript"] == "500 ms"
    assert sessions.starts[0].voice == "ada"


async def test_a_bad_recording_is_refused_and_the_next_one_answered(host):
    async with opened(host) as client:
        assert await refusal(client, END) == "session.no_audio"
        assert await refusal(client, b"no recording", END) == "session.unknown_container"
        await answer_to(client, recording("wav", "pcm_s16le", 0.5))
        assert await refusal(client, recording("mp3", "libmp3lame", 6.0), END) == "session.audio_too_long"


async def test_a_bad_message_does_not_cost_the_recording(host):
    whole = recording("wav", "pcm_s16le", 0.5)
    async with opened(host) as client:
        assert await refusal(client, "garbage") == "session.bad_message"
        assert await refusal(client, whole[:1000], '{"type":"start"}') == "session.bad_message"
        assert await refusal(client, '{"type":"dance"}') == "session.bad_message"
        metadata, _ = await answer_to(client, whole[1000:])
    assert metadata["transcript"] == "500 ms"


async def test_too_much_that_is_no_use_closes_the_socket(host):
    async with opened(host) as client:
        codes = [await refusal(client, '{"type":"start","colour":1}') for _ in range(4)]
        assert codes == ["session.bad_message"] * 3 + ["session.too_many_bad_messages"]
        assert await closing(client) == (1008, "session.too_many_bad_messages")


async def test_a_recording_that_is_too_large_closes_the_socket(host):
    async with opened(host) as client:
        assert await refusal(client, *[bytes(60_000)] * 7) == "session.upload_too_large"
        assert await closing(client) == (1008, "session.upload_too_large")


async def test_a_recording_that_does_not_end_closes_the_socket(sessions):
    async with doors(sessions, replace(LIMITS, upload_s=0.5)) as host, opened(host) as client:
        assert await refusal(client, b"RIFF") == "session.upload_stalled"
        assert await closing(client) == (1008, "session.upload_stalled")


async def test_more_recordings_than_places_are_refused_at_once(host):
    async with opened(host) as first, opened(host) as second:
        # A refusal in the middle of a recording: by then it has its place.
        assert await refusal(first, b"RIFF", '{"type":"start"}') == "session.bad_message"
        assert await refusal(second, b"RIFF") == "session.too_many_uploads"
        assert await closing(second) == (1013, "session.too_many_uploads")


async def test_what_comes_before_the_answer_is_complete_is_too_early(sessions):
    async with doors(sessions, LIMITS) as host, opened(host) as client:
        await client.send(json.dumps({"type": "start", "language": "hang"}))
        for frame in (recording("wav", "pcm_s16le", 0.5), END, b"RIFF"):
            await client.send(frame)
        kinds = [await told(client), await told(client)]
        assert {kind.get("code", "metadata") for kind in kinds} == {"session.busy", "metadata"}


async def test_hanging_up_ends_the_session(host, sessions):
    sessions.capacity = 0
    async with opened(host) as client:
        assert await refusal(client, recording("wav", "pcm_s16le", 0.5), END) == "session.at_capacity"
    sessions.capacity = 1
    async with opened(host) as client:
        await client.send(recording("wav", "pcm_s16le", 0.5))
        await client.send(END)
    await sessions.all_closed()
