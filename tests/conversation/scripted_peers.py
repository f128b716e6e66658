"""Scripted services of a conversation test: what hears, thinks and speaks on the virtual clock, all in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechAudio,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from service_kit.errors import AnchorError

WORD_MS = 200


@dataclass
class Mouth:
    """What the user is saying: the recogniser's ground truth."""

    words: list[str] = field(default_factory=list)


class Voice:
    """Voice activity that never errs: a chunk with sound in it is speech. Edges after 64 ms, judged after 200 ms.

    A silence is judged with `probability`, unless that is None, and again as `again` says: (silence_ms, probability).
    """

    def __init__(self) -> None:
        self.probability: float | None = 0.5
        self.again: tuple[tuple[int, float], ...] = ()
        self.failure: AnchorError | None = None
        self.opened = 0

    @asynccontextmanager
    async def open(self, language):
        if self.failure:
            raise self.failure
        self.opened += 1
        yield VoiceStream(self)


class VoiceStream:
    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._events: asyncio.Queue = asyncio.Queue()
        self._loud = self._quiet_ms = 0
        self._end_ms: int | None = None
        self._due: list[tuple[int, float]] = []

    async def push_audio(self, chunk) -> None:
        if any(chunk.pcm):
            self._loud += 1
            self._quiet_ms = 0
            self._due = []
            if self._end_ms is None and self._loud == 2:
                at_ms = chunk.start_ms - 32
                self._events.put_nowait(SpeechStarted(at_ms, max(0, at_ms - 200)))
                self._end_ms = chunk.end_ms
            elif self._end_ms is not None:
                self._end_ms = chunk.end_ms
            return
        self._loud = 0
        self._quiet_ms += chunk.end_ms - chunk.start_ms
        if self._end_ms is not None and self._quiet_ms >= 64:
            self._stopped_ms, self._end_ms = self._end_ms, None
            self._events.put_nowait(SpeechStopped(self._stopped_ms))
            first = [] if self._voice.probability is None else [(200, self._voice.probability)]
            self._due = [*first, *self._voice.again]
        if self._due and self._quiet_ms >= self._due[0][0]:
            _, probability = self._due.pop(0)
            self._events.put_nowait(TurnEndPredicted(self._stopped_ms, probability, "scripted", self._quiet_ms))

    async def push_transcript(self, text, end_ms) -> None:
        pass

    async def events(self):
        while True:
            event = await self._events.get()
            if self._voice.failure:
                raise self._voice.failure
            yield event


class Words:
    """A recogniser that hears every word the mouth says while it is sent audio; finals after `delay_ms`."""

    def __init__(self, mouth: Mouth) -> None:
        self.mouth = mouth
        self.delay_ms = 60
        self.deaf = False
        # Whether it tells what it hears before it is asked to.
        self.partials = True
        self.failure: AnchorError | None = None
        self.opened_with: list[str] = []
        self.heard_chunks = 0
        self.stream: WordsStream | None = None

    @asynccontextmanager
    async def open(self, language):
        self.opened_with.append(language)
        if self.failure:
            raise self.failure
        self.stream = WordsStream(self)
        yield self.stream


class WordsStream:
    def __init__(self, words: Words) -> None:
        self._words = words
        self._events: asyncio.Queue = asyncio.Queue()
        self._segment = 1
        self._revision = 0
        self._text: list[str] = []
        self._end_ms = 0

    async def push_audio(self, chunk) -> None:
        self._words.heard_chunks += 1
        self._end_ms = chunk.end_ms
        if new := self._take():
            self._text += new
            if self._words.partials:
                self._events.put_nowait(PartialTranscript(self._segment, " ".join(self._text), self._end_ms))

    def _take(self) -> list[str]:
        mouth = self._words.mouth
        new, mouth.words = mouth.words, []
        return [] if self._words.deaf else new

    async def flush_segment(self, segment_id) -> None:
        assert segment_id == self._segment
        self._text += self._take()
        self._revision += 1
        final = FinalTranscript(segment_id, self._revision, " ".join(self._text), self._end_ms, "en")
        asyncio.get_running_loop().call_later(self._words.delay_ms / 1000, self._events.put_nowait, final)

    async def commit_segment(self, segment_id) -> None:
        assert segment_id == self._segment
        self._segment += 1
        self._revision = 0
        self._text = []

    def fail(self, error: AnchorError) -> None:
        self._events.put_nowait(error)

    async def transcripts(self):
        while True:
            event = await self._events.get()
            if isinstance(event, AnchorError):
                raise event
            yield event


class Model:
    """A language model that says what it is told to, word by word, and remembers what it was asked."""

    name = "scripted"

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.prompts: list = []
        self.warmed: list = []
        self.warm_ms = 50
        self.first_token_ms = 100
        self.token_ms = 10
        self.failure: AnchorError | None = None
        self.fails_after_words = 0
        self.closed = 0

    async def reply(self, prompt):
        self.prompts.append(prompt)
        text = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        try:
            await asyncio.sleep(self.first_token_ms / 1000)
            for index, word in enumerate(text.split(" ")):
                if self.failure and index >= self.fails_after_words:
                    raise self.failure
                await asyncio.sleep(self.token_ms / 1000)
                yield word if index == 0 else f" {word}"
        finally:
            self.closed += 1

    async def prefill(self, prompt):
        self.warmed.append(prompt)
        await asyncio.sleep(self.warm_ms / 1000)


def speech_at(offset_ms: int, length_ms: int) -> bytes:
    """What the voice says there: no two samples near each other are alike."""
    return (np.arange(24 * offset_ms, 24 * (offset_ms + length_ms)) % 9_973 + 1).astype("<i2").tobytes()


class Speech:
    """A voice that takes `WORD_MS` for every word, faster than real time, first audio after `delay_ms`."""

    def __init__(self) -> None:
        self.delay_ms = 50
        self.failure: AnchorError | None = None
        self.fails_at_word: int | None = None
        self.open_streams = 0
        # What it says at a place of a reply, for so many milliseconds.
        self.sound_at = lambda offset_ms, length_ms: b"\x01\x00" * (24 * length_ms)
        self.asked_for: list[tuple[str, str]] = []

    @asynccontextmanager
    async def open(self, voice, language, style):
        self.asked_for.append((voice, language))
        self.open_streams += 1
        try:
            yield SpeechStream(self)
        finally:
            self.open_streams -= 1


class SpeechStream:
    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._text = ""
        self._done = False
        self._more = asyncio.Event()

    async def send_text(self, text) -> None:
        self._text += text
        self._more.set()

    async def end_text(self) -> None:
        self._done = True
        self._more.set()

    async def speech(self):
        await self._until_text()
        await asyncio.sleep(self._speech.delay_ms / 1000)
        position = offset_ms = count = 0
        while True:
            rest = self._text[position:]
            word = rest.strip().split(" ")[0] if rest.strip() else ""
            complete = word and (self._done or rest.lstrip().find(" ") >= 0)
            if not complete:
                if self._done:
                    return
                await self._until_text()
                continue
            if self._speech.failure and count == (self._speech.fails_at_word or 0):
                raise self._speech.failure
            start = position + len(rest) - len(rest.lstrip())
            position = start + len(word)
            yield SpeechMark(start, position, offset_ms)
            for _ in range(WORD_MS // 40):
                yield SpeechAudio(offset_ms, self._speech.sound_at(offset_ms, 40))
                offset_ms += 40
            count += 1

    async def _until_text(self) -> None:
        self._more.clear()
        if not self._text or not self._done:
            await self._more.wait()
