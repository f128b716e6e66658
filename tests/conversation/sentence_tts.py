"""A TTS that synthesises sentence by sentence and can fail at a word, and the words that the client played."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from orchestrator.conversation.model.ports import PhraseStarted, SpeechAudio, SpeechMark
from prometheus_client import REGISTRY
from service_kit.errors import AnchorError, EngineFailed, PeerFailed

WORD_MS = 300
FRAME_MS = 60
STORY = (
    "Once upon a time there was a king. He lived in a castle by the sea. Every night he counted the stars. "
    "One of them was missing. He sent for the wisest woman in the land. She laughed and said that it was early. "
    "The king went back to bed. In the morning the star was on his table. It was made of glass. He kept it."
)
UNAVAILABLE = PeerFailed("tts.unavailable", "gone")
ENGINE_FAILED = EngineFailed("tts.engine_failed", "it broke")
# No word of the story follows itself, so a word's index here can be its sample value.
WORDS = sorted(set(re.findall(r"\w+", STORY)))
SENTENCE = re.compile(r"[^.]+\.\s*")


@dataclass
class TtsFault:
    """A fault of one TTS stream at its word `at_word`, from 0: it raises `error`, or stalls for `stall_s`.

    A negative `at_word` makes opening the stream fail.
    """

    error: AnchorError | None = None
    at_word: int = 0
    # Length of the part of that word that is synthesised before `error`.
    spoken_ms: int = 0
    stall_s: float = 0.0


@dataclass
class SentenceTts:
    """Speaks a sentence once text after it has arrived, as tts-service does.

    The first audio of a sentence takes `first_audio_ms`, the rest `real_time_factor` of its length. All samples of
    a word have the same value, its index in `WORDS` plus one.
    """

    first_audio_ms: float = 100
    real_time_factor: float = 0.1
    marks: bool = True
    frame_ms: int = FRAME_MS
    faults: deque[TtsFault | None] = field(default_factory=deque)
    opened_with: list[str] = field(default_factory=list)
    opened_in: list[str] = field(default_factory=list)
    received_text: str = ""
    received_at_s: list[tuple[float, str]] = field(default_factory=list)
    synthesised_ms: float = 0.0

    @asynccontextmanager
    async def open(self, voice, language, style):
        self.opened_with.append(voice)
        self.opened_in.append(language)
        fault = self.faults.popleft() if self.faults else None
        if fault and fault.error and fault.at_word < 0:
            raise fault.error
        yield SentenceTtsStream(self, fault or TtsFault(at_word=10_000))


class SentenceTtsStream:
    def __init__(self, tts: SentenceTts, fault: TtsFault) -> None:
        self._tts = tts
        self._fault = fault
        self._text = ""
        self._done = False
        self._text_changed = asyncio.Event()

    async def send_text(self, text) -> None:
        self._text += text
        self._tts.received_text += text
        self._tts.received_at_s.append((asyncio.get_running_loop().time(), text))
        self._text_changed.set()

    async def end_text(self) -> None:
        self._done = True
        self._text_changed.set()

    async def speech(self):
        position = words = 0
        offset_ms = 0.0
        while True:
            match = SENTENCE.match(self._text, position)
            if match is None or (match.end() == len(self._text) and not self._done):
                if self._done:
                    return
                self._text_changed.clear()
                await self._text_changed.wait()
                continue
            yield PhraseStarted(match.start(), match.end())
            await asyncio.sleep(self._tts.first_audio_ms / 1000)
            for word in re.finditer(r"\S+", match[0]):
                start = match.start() + word.start()
                if self._tts.marks:
                    yield SpeechMark(start, match.start() + word.end(), round(offset_ms))
                length_ms = WORD_MS
                if words == self._fault.at_word:
                    await asyncio.sleep(self._fault.stall_s)
                    length_ms = self._fault.spoken_ms if self._fault.error else WORD_MS
                frame_ms = self._tts.frame_ms
                for _ in range(length_ms // frame_ms):
                    await asyncio.sleep(frame_ms * self._tts.real_time_factor / 1000)
                    value = WORDS.index(word[0].strip(".")) + 1
                    yield SpeechAudio(round(offset_ms), np.full(24 * frame_ms, value, "<i2").tobytes())
                    offset_ms += frame_ms
                    self._tts.synthesised_ms += frame_ms
                if words == self._fault.at_word and self._fault.error:
                    raise self._fault.error
                words += 1
            position = match.end()


def played_words(stage) -> list[tuple[str, int]]:
    """The words that reached the client, each with its length in ms, in order."""
    samples = np.frombuffer(bytes(stage.client.pcm), "<i2")
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    spans = pairwise(edges)
    return [(WORDS[samples[start] - 1], round((end - start) / 24)) for start, end in spans]


def expected_words(text: str) -> list[tuple[str, int]]:
    return [(word, WORD_MS) for word in re.findall(r"\w+", text)]


def metric_value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
