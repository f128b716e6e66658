"""Harmful recordings: refused with a code, at a cost similar to a normal recording of the same size."""

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
# The processor clock ticks 100 times a second, so a single cheap request may measure as zero.
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
    """Silence in Opus: about 280 bytes a second."""
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
    normal = wav(0.1)
    return normal[:40] + struct.pack("<I", claimed_bytes) + normal[44:]


@pytest.fixture
def http(mesh):
    return httpx.AsyncClient(base_url=mesh.url, trust_env=False, timeout=30)


async def send(http: httpx.AsyncClient, recording: bytes) -> tuple[int, str]:
    """Send a recording; return the status and the error code."""
    answer = await http.post("/interact", files={"file": recording})
    return answer.status_code, answer.json()["error"]["code"] if answer.is_error else ""


async def amplification(mesh, http: httpx.AsyncClient, name: str, recording: bytes) -> tuple[float, float]:
    """Processor time and memory for `recording`, each relative to a normal WAV of the same size."""
    normal = wav(max(0.02, len(recording) / 32_000))
    await send(http, normal)
    costs = []
    for sent, what in (
        (normal, f"normal WAV of {len(normal)} bytes"),
        (recording, f"{name} of {len(recording)} bytes"),
    ):
        with mesh.measure_cost(f"{TIMES} × {what}") as cost:
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
        ("WAV that claims 4 GiB", lying_wav(0xFFFFFFFF), (200, "")),
        ("WAV that claims an hour", lying_wav(115_200_000), (200, "")),
        ("WAV at 1 Hz", wav(20_000, rate_hz=1), (400, "session.audio_too_long")),
        ("silence of 10 min in FLAC", flac(600), (400, "session.audio_too_long")),
        ("silence of 59 s in FLAC", flac(59), (200, "")),
        ("silence of 10 min in Opus", opus(600), (400, "session.audio_too_long")),
        ("silence of 58 s in Opus", opus(58), (200, "")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_hostile_recording_costs_little_more_than_a_normal_one(
    mesh, http, name: str, recording: bytes, expected: tuple[int, str]
) -> None:
    async with http, mesh.serving_bystander():
        assert await send(http, recording) == expected
        processor, memory = await amplification(mesh, http, name, recording)
    assert processor <= MOST_AMPLIFICATION
    assert memory <= MOST_AMPLIFICATION


async def test_the_simple_websocket_refuses_a_bomb_and_stays_open(mesh, http) -> None:
    async with http, mesh.serving_bystander(), connect(mesh.simple_url) as socket:
        for recording, expected in ((flac(600), "error"), (wav(1.0), "metadata")):
            await socket.send(recording)
            await socket.send('{"type":"end_stream"}')
            message = json.loads(await socket.recv())
            assert message["type"] == expected
            if expected == "error":
                assert message["code"] == "session.audio_too_long"


async def test_more_bombs_than_upload_slots_are_refused_at_once(mesh, http) -> None:
    async with http, mesh.serving_bystander():
        with mesh.measure_cost("20 FLAC bombs at once") as cost:
            outcomes = await asyncio.gather(*(send(http, flac(600)) for _ in range(20)))
    assert set(outcomes) == {(400, "session.audio_too_long"), (503, "session.too_many_uploads")}
    # Eight are decoded at a time, each in a process of about 60 MiB.
    assert cost.memory_bytes < 8 * 80 * MIB
