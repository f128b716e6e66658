"""`/ws` over a real server."""

from __future__ import annotations

import asyncio
import json
import wave
from dataclasses import replace
from io import BytesIO

import pytest
from api_support import TONE, TONE_MS, FakeSessions, recording, serve_apis, tone
from orchestrator.api.limits import ApiLimits
from service_kit.errors import AtCapacity
from websockets import ConnectionClosed
from websockets.asyncio.client import ClientConnection, connect

LIMITS = ApiLimits(
    max_upload_bytes=400_000,
    max_upload_audio_s=5,
    max_uploads=1,
    max_bad_messages=4,
    decode_timeout_s=60,
    close_timeout_s=20,
)
END = json.dumps({"type": "end_stream"})


@pytest.fixture
def sessions():
    return FakeSessions()


@pytest.fixture
async def host(sessions):
    async with serve_apis(sessions, LIMITS) as name:
        yield name


def connect_to(host: str) -> connect:
    return connect(f"ws://{host}/ws", compression=None)


async def receive(client: ClientConnection) -> dict:
    return json.loads(await asyncio.wait_for(client.recv(), 20))


async def answer_to(client: ClientConnection, data: bytes, piece: int = 30_000) -> tuple[dict, bytes]:
    for start in range(0, len(data), piece):
        await client.send(data[start : start + piece])
    await client.send(END)
    metadata = await receive(client)
    assert metadata["type"] == "metadata", metadata
    file = bytearray()
    while isinstance(frame := await asyncio.wait_for(client.recv(), 20), bytes):
        file += frame
    assert json.loads(frame) == {"type": "audio_complete", "turn_id": metadata["turn_id"]}
    assert metadata["audio_bytes"] == len(file)
    with wave.open(BytesIO(file)) as reader:
        assert reader.getframerate() == metadata["sample_rate_hz"] == 24_000
        info = {"sample_rate": reader.getframerate(), "channels": reader.getnchannels()}
        assert metadata["audio_info"] == {**info, "duration": pytest.approx(reader.getnframes() / 24_000, abs=0.001)}
        return metadata, reader.readframes(reader.getnframes())


async def refusal(client: ClientConnection, *frames: str | bytes) -> str:
    for frame in frames:
        await client.send(frame)
    error = await receive(client)
    assert error["type"] == "error", error
    return error["code"]


async def closing(client: ClientConnection) -> tuple[int | None, str | None]:
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 20)
    return client.close_code, client.close_reason


async def test_recordings_are_answered_in_one_conversation(host, sessions):
    async with connect_to(host) as client:
        metadata, pcm = await answer_to(client, recording("webm", "libopus", 1.0))
        assert pcm == TONE
        assert (metadata["ticket"], metadata["turn_id"], metadata["language"]) == ("ticket-1", 1, "de")
        assert metadata["duration_ms"] == TONE_MS
        assert metadata["reply"].startswith("You said ")
        metadata, _ = await answer_to(client, recording("wav", "pcm_s16le", 0.5))
        assert (metadata["ticket"], metadata["turn_id"], metadata["transcript"]) == ("ticket-1", 2, "500 ms")
    assert [start.ticket for start in sessions.starts] == ["", "ticket-1"]


async def test_raw_samples_are_accepted_after_a_start(host, sessions):
    async with connect_to(host) as client:
        await client.send(json.dumps({"type": "start", "format": "pcm16", "sample_rate_hz": 8_000, "voice": "ada"}))
        metadata, _ = await answer_to(client, tone(0.5, 8_000).tobytes(), piece=641)
    assert metadata["transcript"] == "500 ms"
    assert sessions.starts[0].voice == "ada"


async def test_next_recording_is_answered_after_a_bad_one(host):
    async with connect_to(host) as client:
        assert await refusal(client, END) == "session.no_audio"
        assert await refusal(client, b"no recording", END) == "session.unknown_container"
        await answer_to(client, recording("wav", "pcm_s16le", 0.5))
        assert await refusal(client, recording("mp3", "libmp3lame", 6.0), END) == "session.audio_too_long"


async def test_bad_message_does_not_discard_the_recording(host):
    whole = recording("wav", "pcm_s16le", 0.5)
    async with connect_to(host) as client:
        assert await refusal(client, "garbage") == "session.bad_message"
        assert await refusal(client, whole[:1000], '{"type":"start"}') == "session.bad_message"
        assert await refusal(client, '{"type":"dance"}') == "session.bad_message"
        metadata, _ = await answer_to(client, whole[1000:])
    assert metadata["transcript"] == "500 ms"


async def test_too_many_bad_messages_close_the_socket(host):
    async with connect_to(host) as client:
        codes = [await refusal(client, '{"type":"start","colour":1}') for _ in range(4)]
        assert codes == ["session.bad_message"] * 3 + ["session.too_many_bad_messages"]
        assert await closing(client) == (1008, "session.too_many_bad_messages")


async def test_oversized_recording_closes_the_socket(host):
    async with connect_to(host) as client:
        assert await refusal(client, *[bytes(60_000)] * 7) == "session.upload_too_large"
        assert await closing(client) == (1008, "session.upload_too_large")


async def test_unfinished_recording_closes_the_socket(sessions):
    async with serve_apis(sessions, replace(LIMITS, upload_timeout_s=0.5)) as host, connect_to(host) as client:
        assert await refusal(client, b"RIFF") == "session.upload_stalled"
        assert await closing(client) == (1008, "session.upload_stalled")


async def test_recordings_beyond_the_upload_slots_are_refused(host):
    async with connect_to(host) as first, connect_to(host) as second:
        # The refused message within a recording shows that the recording has its slot.
        assert await refusal(first, b"RIFF", '{"type":"start"}') == "session.bad_message"
        assert await refusal(second, b"RIFF") == "session.too_many_uploads"
        assert await closing(second) == (1013, "session.too_many_uploads")


async def test_frames_before_audio_complete_are_refused(sessions):
    async with serve_apis(sessions, LIMITS) as host, connect_to(host) as client:
        await client.send(json.dumps({"type": "start", "language": "hang"}))
        for frame in (recording("wav", "pcm_s16le", 0.5), END, b"RIFF"):
            await client.send(frame)
        kinds = [await receive(client), await receive(client)]
        assert {kind.get("code", "metadata") for kind in kinds} == {"session.busy", "metadata"}


async def test_full_house_refuses_before_the_recording_is_decoded(host, sessions):
    sessions.no_room = AtCapacity("admission.at_capacity", "all places are taken", retry_after_s=17)
    async with connect_to(host) as client:
        await client.send(b"no recording at all")
        await client.send(END)
        refused = await receive(client)
        assert (refused["code"], refused["retryable"], refused["retry_after_s"]) == ("admission.at_capacity", True, 17)
        sessions.no_room = None
        await client.send(recording("wav", "pcm_s16le", 0.5))
        await client.send(END)
        assert (await receive(client))["type"] == "metadata"


async def test_disconnect_ends_the_session(host, sessions):
    sessions.capacity = 0
    async with connect_to(host) as client:
        assert await refusal(client, recording("wav", "pcm_s16le", 0.5), END) == "session.at_capacity"
    sessions.capacity = 1
    async with connect_to(host) as client:
        await client.send(recording("wav", "pcm_s16le", 0.5))
        await client.send(END)
    await sessions.wait_all_closed()
