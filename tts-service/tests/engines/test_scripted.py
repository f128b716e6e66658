"""The scripted engine's delays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tts_service.engine import SpeechAudio, SpeechEvent, SynthesisConfig
from tts_service.engines.scripted import scripted_engine
from tts_service.settings import TtsSettings

pytestmark = pytest.mark.virtual_clock


async def test_scripted_delays_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text("[tts]\nfirst_audio_delay_ms = 60\nreal_time_factor = 0.5\nms_per_character = 50\n", "utf-8")
    engine = scripted_engine(TtsSettings(engine="scripted", script=path))
    stream = engine.open_stream(SynthesisConfig(engine.voices()[0], "en"))
    loop = asyncio.get_running_loop()
    received_s: list[float] = []

    async def emit(event: SpeechEvent) -> None:
        if isinstance(event, SpeechAudio):
            received_s.append(loop.time())

    async with engine.lifespan():
        started_s = loop.time()
        await stream.send_text("Hello there, ")
        await stream.end_text()
        await stream.run(emit)
    assert received_s[0] - started_s == pytest.approx(0.06)
    # Thirteen characters are 650 ms of speech; its last piece, of 90 ms, is generated when the others have been played.
    assert received_s[-1] - started_s == pytest.approx(0.06 + (80 + 2 * 240) * 0.5 / 1000)
