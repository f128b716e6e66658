"""Recordings of people are taken for speech, music and noise are not: the real model, the default settings.

The recordings are not part of the project; without them these tests are skipped. With `ANCHOR_REPORT_DIR` set, what
was heard is written there as a table.
"""

from __future__ import annotations

import csv
import os
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from service_kit.audio import AudioChunk
from service_kit.engines.worker import EngineWorker
from service_kit.testing.plugin import chunks
from vad_service.engines.silero import Silero
from vad_service.settings import VadSettings
from vad_service.speech.batching import SharedModel
from vad_service.speech.detection import DetectionConfig, TurnDetector
from vad_service.speech.events import Event, SpeechStarted, SpeechStopped
from vad_service.turn_end.predictor import PauseRule

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared" / "speech"
NO_SPEECH = "zxx"
CHUNK_MS = 32

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="no recordings of people beside this checkout (../shared/speech)"
)


def recordings() -> list[dict[str, str]]:
    if not RECORDINGS.is_dir():
        return []
    with (RECORDINGS / "speech.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass
class Heard:
    """What turn detection made of one recording; times in milliseconds."""

    length_ms: int = 0
    # Start of speech, and how much audio had been heard when it was told.
    starts: list[tuple[int, int]] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)

    @property
    def speech_share(self) -> float:
        speech_ms = sum(stop - start for (start, _), stop in zip(self.starts, self.stops, strict=True))
        return speech_ms / self.length_ms


@pytest.fixture(scope="module")
def detector() -> Iterator[TurnDetector]:
    settings = VadSettings(models_dir=ROOT / "models", models_lock=ROOT / "models.lock")
    model = Silero(settings)
    model.load()
    worker = EngineWorker("turn-end", settings.max_waiting_predictions)
    yield TurnDetector(model, SharedModel(model, 1, 0), PauseRule(settings), worker, settings.edge_rules, 1)
    worker.close()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Lines that tests add to; written at the end where a report is wanted."""
    lines = [
        "| recording | kind | length s | first start s | told after ms | utterances | speech % | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    yield lines
    if folder := os.environ.get("ANCHOR_REPORT_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = "# Hearing of people\n\n" + "\n".join(lines) + "\n"
        (Path(folder) / "hearing-of-people.md").write_text(text, encoding="utf-8")


async def hear(detector: TurnDetector, path: Path) -> Heard:
    with wave.open(str(path)) as file:
        pcm = file.readframes(file.getnframes())
    heard = Heard(length_ms=len(pcm) // 32)
    now_ms = 0

    async def microphone() -> AsyncIterator[AudioChunk]:
        nonlocal now_ms
        for index, piece in enumerate(chunks(pcm, CHUNK_MS * 32)):
            chunk = AudioChunk(index * CHUNK_MS, piece)
            now_ms = chunk.end_ms
            yield chunk

    async def note(event: Event) -> None:
        match event:
            case SpeechStarted(at_ms):
                heard.starts.append((at_ms, now_ms))
            case SpeechStopped(at_ms):
                heard.stops.append(at_ms)
            case _:
                pass

    await detector.listen(DetectionConfig("", 0), microphone(), note)
    return heard


def row(recording: dict[str, str], heard: Heard, right: bool) -> str:
    start_ms, told_ms = heard.starts[0] if heard.starts else (None, None)
    cells = [
        recording["file"],
        recording["kind"],
        f"{heard.length_ms / 1000:.1f}",
        "" if start_ms is None else f"{start_ms / 1000:.2f}",
        "" if start_ms is None or told_ms is None else str(told_ms - start_ms),
        str(len(heard.starts)),
        f"{100 * heard.speech_share:.0f}",
        "right" if right else ("false alarm" if recording["language"] == NO_SPEECH else "missed"),
    ]
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: Path(recording["file"]).stem)
async def test_speech_is_detected_in_recordings_of_people_only(recording: dict[str, str], detector, table):
    heard = await hear(detector, RECORDINGS / recording["file"])
    right = bool(heard.starts) == (recording["language"] != NO_SPEECH)
    table.append(row(recording, heard, right))
    assert right, f"{len(heard.starts)} utterances in a recording of {recording['language']}, {recording['kind']}"
    assert len(heard.stops) == len(heard.starts)
    assert all(0 <= start_ms < stop_ms for (start_ms, _), stop_ms in zip(heard.starts, heard.stops, strict=True))
