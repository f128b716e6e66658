"""What is said to the recogniser that plays a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from service_kit.audio import AudioChunk
from stt_service.engine import Segment, TranscriptionConfig
from stt_service.engines.scripted import ScriptedEngine
from stt_service.settings import SttSettings

VOICE = (np.sin(np.arange(512) / 3) * 8000).astype("<i2").tobytes()
SILENCE = bytes(1024)
WANTED = TranscriptionConfig("en", partial_transcripts=True)
FIRST = Segment(1, 0, 32)


def scripted_engine(folder: Path, section: str) -> ScriptedEngine:
    """One that plays the lines of `section`."""
    path = folder / "script.toml"
    path.write_text(f"[stt]\n{section}\n")
    return ScriptedEngine(SttSettings(engine="scripted", script=path))


async def say(stream: Any, pcm: bytes = VOICE, segment: Segment = FIRST) -> None:
    await stream.feed(AudioChunk(segment.start_ms, pcm), segment)
