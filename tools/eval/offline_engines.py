"""Runs the product's voice detection and recogniser on recordings, without services, and scores the results."""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service_kit.audio import MICROPHONE, AudioChunk
from stt_service.engine import FinalTranscript, Segment, SttEngine, TranscriptionConfig
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine
from stt_service.engines.pocketsphinx.knowledge import dictionary_words
from stt_service.settings import SttSettings
from vad_service.engine import FrameRequest, StreamState
from vad_service.engines.silero import SileroVad
from vad_service.events import SpeechStarted, SpeechStopped
from vad_service.settings import VadSettings
from vad_service.speech.frames import Framer
from vad_service.speech.speech_edges import SpeechEdge, SpeechEdgeDetector

ROOT = Path(__file__).parents[2]
Spans = list[tuple[int, int]]

_CHUNK_MS = 32
# Edges further apart than this belong to different utterances.
_SAME_EDGE_MS = 500


class VadRunner:
    """Silero and the edge rules with their default settings."""

    def __init__(self) -> None:
        settings = VadSettings(models_dir=ROOT / "models", models_lock=ROOT / "models.lock")
        self._rules = settings.edge_thresholds
        self._model = SileroVad(settings)
        self._model.load()

    def find_speech(self, recordings: Sequence[bytes]) -> list[Spans]:
        """The spans of speech in each recording, in ms from its beginning. Recordings run in one batch."""
        runs = [_DetectorRun(pcm, self._model.new_state(), SpeechEdgeDetector(self._rules)) for pcm in recordings]
        while active := [run for run in runs if run.frames]:
            probabilities = self._model.predict_batch(
                [FrameRequest(run.state, run.frames[0].samples) for run in active]
            )
            for run, probability in zip(active, probabilities, strict=True):
                frame = run.frames.popleft()
                run.add_edges(run.edges.push_frame(frame.start_ms, frame.end_ms, probability))
        for run in runs:
            run.add_edges(run.edges.end_audio())
        return [run.spans for run in runs]


class _DetectorRun:
    """The detector's state for one recording."""

    def __init__(self, pcm: bytes, state: StreamState, edges: SpeechEdgeDetector) -> None:
        framer = Framer()
        self.frames = deque([*framer.push_audio(AudioChunk(0, pcm)), *framer.flush()])
        self.state = state
        self.edges = edges
        self.spans: Spans = []
        self._start_ms = 0

    def add_edges(self, edges: Iterable[SpeechEdge]) -> None:
        for edge in edges:
            match edge:
                case SpeechStarted(at_ms):
                    self._start_ms = at_ms
                case SpeechStopped(at_ms):
                    self.spans.append((self._start_ms, at_ms))
                case _:
                    pass


@asynccontextmanager
async def load_recogniser(models_dir: Path) -> AsyncGenerator[PocketsphinxEngine]:
    """The embedded recogniser. Its second opinion gets 60 s, because this measures words and not speed."""
    settings = SttSettings(knowledge_dir=ROOT / "content/knowledge", models_dir=models_dir, second_opinion_ms=60_000)
    engine = PocketsphinxEngine(settings)
    async with engine.lifespan():
        yield engine


async def transcribe(engine: SttEngine, pcm: bytes) -> str:
    """The final transcript of a recording, sent as one segment."""
    return (await transcribe_final(engine, pcm)).text


async def transcribe_final(engine: SttEngine, pcm: bytes) -> FinalTranscript:
    """The final of a recording, sent as one segment, with its alternatives."""
    segment = Segment(1, 0, int(MICROPHONE.ms_of(len(pcm))))
    async with engine.open_stream(TranscriptionConfig("en")) as stream:
        async for chunk in _chunks(pcm, _CHUNK_MS):
            await stream.push_audio(chunk, segment)
        await stream.flush_segment(segment)
        await stream.end_audio()
        return [event async for event in stream.transcripts() if isinstance(event, FinalTranscript)][-1]


def reference_words(transcript: str) -> list[str]:
    """The words to recognise: without sound events and broken-off words, titles written out."""
    plain = re.sub(r"<[^>]*>|\[[^\]]*\]|\{[^}]*\}", " ", transcript).replace("-", " ")
    return [{"mr": "mister"}.get(word, word) for word in dictionary_words(plain)]


def word_errors(reference: list[str], recognised: list[str]) -> int:
    """Words inserted, deleted and replaced: the Levenshtein distance."""
    row = list(range(len(recognised) + 1))
    for line, expected in enumerate(reference, 1):
        above, row = row, [line]
        for column, word in enumerate(recognised, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (expected != word)))
    return row[-1]


async def _chunks(pcm: bytes, chunk_ms: int) -> AsyncIterator[AudioChunk]:
    size = MICROPHONE.bytes_for(chunk_ms)
    for at in range(0, len(pcm), size):
        yield AudioChunk(round(MICROPHONE.ms_of(at)), pcm[at : at + size])


@dataclass
class VadScore:
    """Voice detection in one condition, summed over recordings. Times in milliseconds."""

    speech_ms: int = 0
    detected_ms: int = 0
    silence_ms: int = 0
    false_ms: int = 0
    utterances: int = 0
    missed: int = 0
    start_errors_ms: list[int] = field(default_factory=list)
    stop_errors_ms: list[int] = field(default_factory=list)

    def add(self, reference: Spans, detected: Spans, length_ms: int) -> None:
        """Add one recording; `reference` holds the spans detected in the clean recording."""
        both_ms = sum(max(0, min(r[1], d[1]) - max(r[0], d[0])) for r in reference for d in detected)
        self.speech_ms += _total(reference)
        self.detected_ms += both_ms
        self.silence_ms += length_ms - _total(reference)
        self.false_ms += _total(detected) - both_ms
        self.utterances += len(reference)
        self.missed += sum(all(d[1] <= r[0] or d[0] >= r[1] for d in detected) for r in reference)
        self.start_errors_ms += _edge_errors([r[0] for r in reference], [d[0] for d in detected])
        self.stop_errors_ms += _edge_errors([r[1] for r in reference], [d[1] for d in detected])

    @property
    def table_cells(self) -> list[str]:
        """% of speech detected, utterances missed, % of silence taken for speech, mean errors of starts and stops."""
        return [
            _percent(self.detected_ms, self.speech_ms),
            f"{self.missed} of {self.utterances}",
            _percent(self.false_ms, self.silence_ms),
            _mean(self.start_errors_ms),
            _mean(self.stop_errors_ms),
        ]


def _total(spans: Spans) -> int:
    return sum(stop - start for start, stop in spans)


def _edge_errors(reference: Sequence[int], detected: Sequence[int]) -> list[int]:
    """The distance from each reference edge to the nearest detected one, where that belongs to the same utterance."""
    nearest = [min((abs(edge - found) for found in detected), default=_SAME_EDGE_MS + 1) for edge in reference]
    return [error for error in nearest if error <= _SAME_EDGE_MS]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def _mean(values: list[int]) -> str:
    return f"{statistics.mean(values):.0f}" if values else "–"
