"""A voice that takes its text by the sentence and can break at a word, and what a listener made of it."""

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
TALE = (
    "Once upon a time there was a king. He lived in a castle by the sea. Every night he counted the stars. "
    "One of them was missing. He sent for the wisest woman in the land. She laughed and said that it was early. "
    "The king went back to bed. In the morning the star was on his table. It was made of glass. He kept it."
)
GONE = PeerFailed("tts.unavailable", "gone")
BROKE = EngineFailed("tts.engine_failed", "it broke")
# No word of the tale follows itself, so a word's place here can be its sound.
WORDS = sorted(set(re.findall(r"\w+", TALE)))
SENTENCE = re.compile(r"[^.]+\.\s*")


@dataclass
class Breaks:
    """What one stream of the voice does wrong: its word `at_word` (from 0) comes with `error`, or not at all."""

    error: AnchorError | None = None
    at_word: int = 0
    # Of that word, so much is said before it breaks.
    said_ms: int = 0
    stall_s: float = 0.0


@dataclass
class SentenceVoice:
    """Speaks a sentence when what follows it is there, as tts-service does: `first_ms` after it could, then at
    `factor` of real time. The samples of a word all have one value, its own.
    """

    first_ms: float = 100
    factor: float = 0.1
    marks: bool = True
    frame_ms: int = FRAME_MS
    breaks: deque[Breaks | None] = field(default_factory=deque)
    asked_for: list[str] = field(default_factory=list)
    given: str = ""
    given_at_s: list[tuple[float, str]] = field(default_factory=list)
    made_ms: float = 0.0

    @asynccontextmanager
    async def open(self, voice, language, style):
        self.asked_for.append(voice)
        breaks = self.breaks.popleft() if self.breaks else None
        if breaks and breaks.error and breaks.at_word < 0:
            raise breaks.error
        yield SentenceStream(self, breaks or Breaks(at_word=10_000))


class SentenceStream:
    def __init__(self, voice: SentenceVoice, breaks: Breaks) -> None:
        self._voice = voice
        self._breaks = breaks
        self._text = ""
        self._done = False
        self._more = asyncio.Event()

    async def send_text(self, text) -> None:
        self._text += text
        self._voice.given += text
        self._voice.given_at_s.append((asyncio.get_running_loop().time(), text))
        self._more.set()

    async def end_text(self) -> None:
        self._done = True
        self._more.set()

    async def speech(self):
        position = words = 0
        offset_ms = 0.0
        while True:
            match = SENTENCE.match(self._text, position)
            if match is None or (match.end() == len(self._text) and not self._done):
                if self._done:
                    return
                self._more.clear()
                await self._more.wait()
                continue
            yield PhraseStarted(match.start(), match.end())
            await asyncio.sleep(self._voice.first_ms / 1000)
            for word in re.finditer(r"\S+", match[0]):
                start = match.start() + word.start()
                if self._voice.marks:
                    yield SpeechMark(start, match.start() + word.end(), round(offset_ms))
                length_ms = WORD_MS
                if words == self._breaks.at_word:
                    await asyncio.sleep(self._breaks.stall_s)
                    length_ms = self._breaks.said_ms if self._breaks.error else WORD_MS
                frame_ms = self._voice.frame_ms
                for _ in range(length_ms // frame_ms):
                    await asyncio.sleep(frame_ms * self._voice.factor / 1000)
                    value = WORDS.index(word[0].strip(".")) + 1
                    yield SpeechAudio(round(offset_ms), np.full(24 * frame_ms, value, "<i2").tobytes())
                    offset_ms += frame_ms
                    self._voice.made_ms += frame_ms
                if words == self._breaks.at_word and self._breaks.error:
                    raise self._breaks.error
                words += 1
            position = match.end()


def sounded(stage) -> list[tuple[str, int]]:
    """The words that came to the ear, each with the time it lasted, in order."""
    samples = np.frombuffer(bytes(stage.ear.pcm), "<i2")
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    spans = pairwise(edges)
    return [(WORDS[samples[start] - 1], round((end - start) / 24)) for start, end in spans]


def words_of(text: str) -> list[tuple[str, int]]:
    return [(word, WORD_MS) for word in re.findall(r"\w+", text)]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0
