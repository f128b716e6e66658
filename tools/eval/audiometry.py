"""A hearing test: what the mesh's own ears make of recordings, against what they make of the clean ones."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service_kit.audio import MICROPHONE, AudioChunk
from stt_service.engine import FinalTranscript, Segment, TranscriptionConfig
from stt_service.engines.pocketsphinx.engine import PocketsphinxEngine
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
# Edges further apart than this are not of the same utterance.
_SAME_EDGE_MS = 500


class VoiceDetector:
    """Silero and the edge rules with their default settings, without a service around them."""

    def __init__(self) -> None:
        settings = VadSettings(models_dir=ROOT / "models", models_lock=ROOT / "models.lock")
        self._rules = settings.edge_thresholds
        self._model = SileroVad(settings)
        self._model.load()

    def spans(self, recordings: Sequence[bytes]) -> list[Spans]:
        """Where speech is heard in each, in ms from its beginning. They are listened to together, which costs less."""
        ears = [_Ear(pcm, self._model.new_state(), SpeechEdgeDetector(self._rules)) for pcm in recordings]
        while hearing := [ear for ear in ears if ear.frames]:
            probabilities = self._model.predict_batch(
                [FrameRequest(ear.memory, ear.frames[0].samples) for ear in hearing]
            )
            for ear, probability in zip(hearing, probabilities, strict=True):
                frame = ear.frames.popleft()
                ear.note(ear.edges.push_frame(frame.start_ms, frame.end_ms, probability))
        for ear in ears:
            ear.note(ear.edges.end_audio())
        return [ear.spans for ear in ears]


class _Ear:
    """One recording that is listened to."""

    def __init__(self, pcm: bytes, memory: StreamState, edges: SpeechEdgeDetector) -> None:
        framing = Framer()
        self.frames = deque([*framing.push_audio(AudioChunk(0, pcm)), *framing.flush()])
        self.memory = memory
        self.edges = edges
        self.spans: Spans = []
        self._start_ms = 0

    def note(self, edges: Iterable[SpeechEdge]) -> None:
        for edge in edges:
            match edge:
                case SpeechStarted(at_ms):
                    self._start_ms = at_ms
                case SpeechStopped(at_ms):
                    self.spans.append((self._start_ms, at_ms))
                case _:
                    pass


@asynccontextmanager
async def recogniser(models_dir: Path) -> AsyncGenerator[PocketsphinxEngine]:
    """The embedded recogniser; its second opinion has all the time it wants, for this is no test of speed."""
    settings = SttSettings(knowledge_dir=ROOT / "content/knowledge", models_dir=models_dir, second_opinion_ms=60_000)
    engine = PocketsphinxEngine(settings)
    async with engine.lifespan():
        yield engine


async def transcript(engine: PocketsphinxEngine, pcm: bytes) -> str:
    """What was understood of a recording, heard as one segment."""
    segment = Segment(1, 0, int(MICROPHONE.ms_of(len(pcm))))
    async with engine.open_stream(TranscriptionConfig("en")) as stream:
        async for chunk in _microphone(pcm, _CHUNK_MS):
            await stream.push_audio(chunk, segment)
        await stream.flush_segment(segment)
        await stream.end_audio()
        return [event.text async for event in stream.transcripts() if isinstance(event, FinalTranscript)][-1]


async def _microphone(pcm: bytes, chunk_ms: int) -> AsyncIterator[AudioChunk]:
    size = MICROPHONE.bytes_for(chunk_ms)
    for at in range(0, len(pcm), size):
        yield AudioChunk(round(MICROPHONE.ms_of(at)), pcm[at : at + size])


@dataclass
class VoiceScore:
    """How speech was found in one condition, summed over recordings. Times in milliseconds."""

    speech_ms: int = 0
    heard_ms: int = 0
    silence_ms: int = 0
    false_ms: int = 0
    utterances: int = 0
    missed: int = 0
    start_errors_ms: list[int] = field(default_factory=list)
    stop_errors_ms: list[int] = field(default_factory=list)

    def add(self, true: Spans, heard: Spans, length_ms: int) -> None:
        """Count one recording: `true` is what was heard of it when it was clean."""
        both_ms = sum(max(0, min(t[1], h[1]) - max(t[0], h[0])) for t in true for h in heard)
        self.speech_ms += _total(true)
        self.heard_ms += both_ms
        self.silence_ms += length_ms - _total(true)
        self.false_ms += _total(heard) - both_ms
        self.utterances += len(true)
        self.missed += sum(all(h[1] <= t[0] or h[0] >= t[1] for h in heard) for t in true)
        self.start_errors_ms += _errors([t[0] for t in true], [h[0] for h in heard])
        self.stop_errors_ms += _errors([t[1] for t in true], [h[1] for h in heard])

    @property
    def cells(self) -> list[str]:
        """Columns of a table: % of speech heard, utterances missed, % of silence taken for speech, edge errors."""
        return [
            _percent(self.heard_ms, self.speech_ms),
            f"{self.missed} of {self.utterances}",
            _percent(self.false_ms, self.silence_ms),
            _middle(self.start_errors_ms),
            _middle(self.stop_errors_ms),
        ]


def _total(spans: Spans) -> int:
    return sum(stop - start for start, stop in spans)


def _errors(true: Sequence[int], heard: Sequence[int]) -> list[int]:
    """How far from each true edge the nearest one heard is, where it is the same edge at all."""
    nearest = [min((abs(edge - found) for found in heard), default=_SAME_EDGE_MS + 1) for edge in true]
    return [error for error in nearest if error <= _SAME_EDGE_MS]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def _middle(values: list[int]) -> str:
    return f"{statistics.mean(values):.0f}" if values else "–"
