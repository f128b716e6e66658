"""Recordings made to do harm: refused by name, at a cost like that of an honest recording of the same size."""

from __future__ import annotations

import asyncio
import json
import struct
import wave
from io import BytesIO

import av
import httpx
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect

pytestmark = pytest.mark.e2e

MOST_AMPLIFICATION = 100
MIB = 2**20
# The processor clock ticks 100 times a second, so that a single cheap request may seem to be free.
TIMES = 2


def wav(seconds: float, *, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """Silence in a plain WAV."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(bytes(int(seconds * rate_hz) * channels * 2))
    return file.getvalue()


def flac(seconds: int) -> bytes:
    """Silence in FLAC: 47 bytes a second."""
    file = BytesIO()
    soundfile.write(file, np.zeros(seconds * 16_000, np.int16), 16_000, format="FLAC")
    return file.getvalue()


def opus(seconds: int) -> bytes:
    """Silence in Opus: some 280 bytes a second."""
    file = BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono", options={"frame_duration": "60"})
        stream.bit_rate = 500
        for number in range(seconds * 1000 // 60):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2880), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, number * 2880
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def lying_wav(claimed_bytes: int) -> bytes:
    """A tenth of a second in a WAV whose header claims more."""
    honest = wav(0.1)
    return honest[:40] + struct.pack("<I", claimed_bytes) + honest[44:]


@pytest.fixture
def http(ground):
    return httpx.AsyncClient(base_url=ground.url, trust_env=False, timeout=30)


async def send(http: httpx.AsyncClient, recording: bytes) -> tuple[int, str]:
    """How the server answers a recording: the status, and the code of its failure."""
    answer = await http.post("/interact", files={"file": recording})
    return answer.status_code, answer.json()["error"]["code"] if answer.is_error else ""


async def amplification(ground, http: httpx.AsyncClient, name: str, recording: bytes) -> tuple[float, float]:
    """Processor time and memory that `recording` takes, each over what an honest WAV of its size takes."""
    honest = wav(max(0.02, len(recording) / 32_000))
    await send(http, honest)
    costs = []
    for sent, what in (
        (honest, f"honest WAV of {len(honest)} bytes"),
        (recording, f"{name} of {len(recording)} bytes"),
    ):
        with ground.measured(f"{TIMES} × {what}") as cost:
            for _ in range(TIMES):
                await send(http, sent)
        costs.append(cost)
    plain, hostile = costs
    return hostile.cpu_s / max(plain.cpu_s, 0.01), hostile.memory_bytes / max(plain.memory_bytes, MIB)


@pytest.mark.parametrize(
    ("name", "recording", "expected"),
    [
        ("noise", np.random.default_rng(1).bytes(20_000), (400, "session.unknown_container")),
        ("playlist", b"#EXTM3U\nfile:///etc/passwd\n", (400, "session.unknown_container")),
        ("bare header", lying_wav(0)[:44], (400, "session.no_audio")),
        ("WAV of 4 GiB, it says", lying_wav(0xFFFFFFFF), (200, "")),
        ("WAV of an hour, it says", lying_wav(115_200_000), (200, "")),
        ("WAV at 1 Hz", wav(20_000, rate_hz=1), (400, "session.audio_too_long")),
        ("silence of 10 min in FLAC", flac(600), (400, "session.audio_too_long")),
        ("silence of 59 s in FLAC", flac(59), (200, "")),
        ("silence of 10 min in Opus", opus(600), (400, "session.audio_too_long")),
        ("silence of 58 s in Opus", opus(58), (200, "")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_hostile_recording_costs_little_more_than_an_honest_one(
    ground, http, name: str, recording: bytes, expected: tuple[int, str]
) -> None:
    async with http, ground.unharmed():
        assert await send(http, recording) == expected
        processor, memory = await amplification(ground, http, name, recording)
    assert processor <= MOST_AMPLIFICATION
    assert memory <= MOST_AMPLIFICATION


async def test_a_bomb_at_the_simple_websocket_is_refused_and_the_next_recording_answered(ground, http) -> None:
    async with http, ground.unharmed(), connect(ground.simple_url) as socket:
        for recording, expected in ((flac(600), "error"), (wav(1.0), "metadata")):
            await socket.send(recording)
            await socket.send('{"type":"end_stream"}')
            message = json.loads(await socket.recv())
            assert message["type"] == expected
            if expected == "error":
                assert message["code"] == "session.audio_too_long"


async def test_more_bombs_than_places_are_refused_at_once(ground, http) -> None:
    async with http, ground.unharmed():
        with ground.measured("20 FLAC bombs at once") as cost:
            outcomes = await asyncio.gather(*(send(http, flac(600)) for _ in range(20)))
    assert set(outcomes) == {(400, "session.audio_too_long"), (503, "session.too_many_uploads")}
    # Eight are unpacked at a time, each in a process of some 60 MiB.
    assert cost.memory_bytes < 8 * 80 * MIB
