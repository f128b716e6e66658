"""Voice detection on recordings of people, music and noise, with the real model and the default settings.

The recordings are not part of the project; without them these tests are skipped. With `ANCHOR_REPORT_DIR` set, the
results are written there as a table.
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
from service_kit.testing.plugin import split_pcm
from vad_service.engines.silero import SileroVad
from vad_service.events import Event, SpeechStarted, SpeechStopped
from vad_service.settings import VadSettings
from vad_service.speech.batching import FrameBatcher
from vad_service.speech.detection import DetectionConfig, TurnDetector
from vad_service.turn_end.predictor import PausePredictor

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
class Detection:
    """The result of voice detection on one recording; times in milliseconds."""

    length_ms: int = 0
    # The start of speech, and the amount of audio received when it was detected.
    starts: list[tuple[int, int]] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)

    @property
    def speech_share(self) -> float:
        speech_ms = sum(stop - start for (start, _), stop in zip(self.starts, self.stops, strict=True))
        return speech_ms / self.length_ms


@pytest.fixture(scope="module")
def detector() -> Iterator[TurnDetector]:
    settings = VadSettings(models_dir=ROOT / "models", models_lock=ROOT / "models.lock")
    model = SileroVad(settings)
    model.load()
    worker = EngineWorker("turn-end", settings.max_waiting_predictions)
    yield TurnDetector(model, FrameBatcher(model, 1, 0), PausePredictor(settings), worker, settings.edge_thresholds, 1)
    worker.close()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of all tests; written at the end when `ANCHOR_REPORT_DIR` is set."""
    lines = [
        "| recording | kind | length s | first start s | detected after ms | utterances | speech % | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    yield lines
    if folder := os.environ.get("ANCHOR_REPORT_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = "# Voice detection on recordings of people\n\n" + "\n".join(lines) + "\n"
        (Path(folder) / "vad-on-recordings.md").write_text(text, encoding="utf-8")


async def detect(detector: TurnDetector, path: Path) -> Detection:
    with wave.open(str(path)) as file:
        pcm = file.readframes(file.getnframes())
    detection = Detection(length_ms=len(pcm) // 32)
    now_ms = 0

    async def microphone() -> AsyncIterator[AudioChunk]:
        nonlocal now_ms
        for index, piece in enumerate(split_pcm(pcm, CHUNK_MS * 32)):
            chunk = AudioChunk(index * CHUNK_MS, piece)
            now_ms = chunk.end_ms
            yield chunk

    async def record(event: Event) -> None:
        match event:
            case SpeechStarted(at_ms):
                detection.starts.append((at_ms, now_ms))
            case SpeechStopped(at_ms):
                detection.stops.append(at_ms)
            case _:
                pass

    await detector.detect(DetectionConfig("", 0), microphone(), record)
    return detection


def row(recording: dict[str, str], detection: Detection, right: bool) -> str:
    start_ms, detected_at_ms = detection.starts[0] if detection.starts else (None, None)
    cells = [
        recording["file"],
        recording["kind"],
        f"{detection.length_ms / 1000:.1f}",
        "" if start_ms is None else f"{start_ms / 1000:.2f}",
        "" if start_ms is None or detected_at_ms is None else str(detected_at_ms - start_ms),
        str(len(detection.starts)),
        f"{100 * detection.speech_share:.0f}",
        "right" if right else ("false alarm" if recording["language"] == NO_SPEECH else "missed"),
    ]
    return "| " + " | ".join(cells) + " |"


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: Path(recording["file"]).stem)
async def test_speech_is_detected_in_recordings_of_people_only(recording: dict[str, str], detector, table):
    detection = await detect(detector, RECORDINGS / recording["file"])
    right = bool(detection.starts) == (recording["language"] != NO_SPEECH)
    table.append(row(recording, detection, right))
    assert right, f"{len(detection.starts)} utterances in a recording of {recording['language']}, {recording['kind']}"
    assert len(detection.stops) == len(detection.starts)
    assert all(
        0 <= start_ms < stop_ms for (start_ms, _), stop_ms in zip(detection.starts, detection.stops, strict=True)
    )
