"""tts-service with Piper's own server, which hums: real phonemes of eSpeak NG, real HTTP, over real gRPC."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from piper_voice import TONE_HZ, write_voice
from service_kit.audio import to_float
from service_kit.rpc.channel import open_channel
from tts_service.app import build
from tts_service.settings import TtsSettings

HINDI = "hi_IN-rohan-medium"
GERMAN = "de_DE-thorsten-low"
WITHIN_S = 60


@pytest.fixture(scope="session")
def voices_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three voices of two rates; the third has a name that the server mangles."""
    folder = tmp_path_factory.mktemp("piper")
    write_voice(folder, HINDI, 22_050, "hi")
    write_voice(folder, GERMAN, 16_000, "de")
    write_voice(folder, "anton", 16_000, "de")
    return folder


@asynccontextmanager
async def piper(folder: Path, port: int) -> AsyncGenerator[None]:
    """Piper's server as its makers start it."""
    command = ("-m", "piper.http_server", "-m", str(folder / f"{HINDI}.onnx"), "--data-dir", str(folder))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--host", "127.0.0.1", "--port", str(port), cwd=folder
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@asynccontextmanager
async def serving(**settings: object) -> AsyncGenerator[tuple[object, tts_pb2_grpc.TextToSpeechServiceAsyncStub]]:
    """The service as it runs, ready; and a stub."""
    service = build(TtsSettings(grpc_port=0, http_port=0, log_level="ERROR", **settings))  # type: ignore[arg-type]
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        async with asyncio.timeout(WITHIN_S):
            while not service.health.ready:
                await asyncio.sleep(0.02)
        channel = open_channel(f"127.0.0.1:{service.grpc_port}")
        yield service, tts_pb2_grpc.TextToSpeechServiceStub(channel)
        await channel.close()
    finally:
        stop.set()
        await running


async def spoken(stub: object, text: str, **config: object) -> np.ndarray:
    """One reply's samples at 24 kHz."""
    call = stub.Synthesize()  # type: ignore[attr-defined]
    await call.write(pb.SynthesizeRequest(config=pb.SynthesisConfig(**config)))  # type: ignore[arg-type]
    await call.write(pb.SynthesizeRequest(text=pb.TextDelta(text=text)))
    await call.done_writing()
    async with asyncio.timeout(WITHIN_S):
        return to_float(b"".join([response.audio.pcm async for response in call]))


def pitch_hz(samples: np.ndarray) -> float:
    """The loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum) * 24_000 / samples.size)


async def test_every_voice_speaks_at_24_khz(voices_dir: Path, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    async with piper(voices_dir, port), serving(engine="piper", piper_url=url) as (_, stub):
        listed = await stub.ListVoices(pb.ListVoicesRequest())
        assert [(voice.id, list(voice.languages), voice.engine) for voice in listed.voices] == [
            (f"piper:{HINDI}", ["hi"], "piper"),
            (f"piper:{GERMAN}", ["de"], "piper"),
        ]
        for language, text in (("hi", "नमस्ते, यह समाचार है।"), ("de", "Guten Abend, hier sind die Nachrichten.")):
            samples = await spoken(stub, text, language=language)
            assert samples.size > 24_000
            assert pitch_hz(samples) == pytest.approx(TONE_HZ, abs=3)


async def test_pace_makes_speech_faster(voices_dir: Path, port: int) -> None:
    async with (
        piper(voices_dir, port),
        serving(engine="piper", piper_url=f"http://127.0.0.1:{port}") as (_, stub),
    ):
        plain = await spoken(stub, "Guten Abend", language="de", voice=GERMAN)
        fast = await spoken(stub, "Guten Abend", language="de", voice=GERMAN, style=pb.SpeechStyle(pace=2.0))
    assert fast.size == pytest.approx(plain.size / 2, rel=0.05)


async def test_fallback_speaks_until_the_server_is_back(voices_dir: Path, port: int) -> None:
    settings = {
        "engine": "scripted",
        "routes": {"hi": "piper"},
        "fallback_engines": ("scripted",),
        "piper_url": f"http://127.0.0.1:{port}",
    }
    async with serving(**settings) as (service, stub):
        assert "piper: tts.server_unreachable" in str(service.health.describe()["degraded"])  # type: ignore[attr-defined]
        assert pitch_hz(await spoken(stub, "नमस्ते", language="hi")) == pytest.approx(220, abs=3)
        async with piper(voices_dir, port), asyncio.timeout(WITHIN_S):
            while service.health.describe()["degraded"]:  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)
            listed = await stub.ListVoices(pb.ListVoicesRequest(language="hi"))
            assert [voice.engine for voice in listed.voices] == ["piper", "scripted"]
            assert pitch_hz(await spoken(stub, "नमस्ते दुनिया", language="hi")) == pytest.approx(TONE_HZ, abs=3)
        assert pitch_hz(await spoken(stub, "नमस्ते", language="hi")) == pytest.approx(220, abs=3)
