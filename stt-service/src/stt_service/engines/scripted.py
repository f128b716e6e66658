"""A recogniser that says what its script says, when its script says so. For tests; never a default."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from service_kit.audio import AudioChunk
from service_kit.engines.info import EngineInfo
from service_kit.engines.script import Fault, ScriptSection, load_section
from service_kit.errors import EngineFailed

from stt_service.engine import Final, LanguageSource, Partial, Segment, Transcript, TranscriptionConfig, Word
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

GARBAGE = "\ufffd zxqv 0x1f ;; brrn \ufffd"
ENDLESS_INTERVAL_S = 0.02
DIE_STATUS = 70


class SttScript(ScriptSection):
    """The section `[stt]`."""

    # What the n-th segment with speech in it says, in each stream; after the last, the first again.
    transcripts: tuple[str, ...] = Field(default=("what is the latest news",), min_length=1)
    final_delay_ms: float = Field(default=100, ge=0)
    # `last_voiced`: the final comes unprompted, that long after the chunk with the last voiced sample arrived; a
    # flush before then is answered by it. `flush`: that long after the flush.
    final_after: Literal["last_voiced", "flush"] = "last_voiced"
    partials: bool = True
    # One more word of the transcript is in the partial for each such stretch of voiced audio.
    ms_per_word: float = Field(default=200, gt=0)
    # Whether finals say when each word was said.
    word_times: bool = False
    # A chunk whose loudest sample reaches this, of 32767, is voiced.
    voiced_peak: int = Field(default=500, ge=1, le=32767)


class ScriptedEngine:
    """Shares the count of utterances over all streams, so that a fault at the n-th strikes once."""

    def __init__(self, settings: SttSettings) -> None:
        self.info = EngineInfo("scripted", "scripted", "1", notes={"purpose": "tests; it recognises nothing"})
        self._path = settings.script
        self._script = SttScript()
        self._utterances = itertools.count(1)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Read the script. Raises `InvalidRequest` when it does not fit."""
        self._script = load_section(self._path, "stt", SttScript)
        yield

    @asynccontextmanager
    async def open(self, config: TranscriptionConfig) -> AsyncGenerator[ScriptedStream]:
        """Begin a microphone, whose transcripts begin with the first."""
        async with asyncio.TaskGroup() as tasks:
            stream = ScriptedStream(self._script, config, self._utterances)
            answering = tasks.create_task(stream.answer(), name="scripted stt")
            try:
                yield stream
            finally:
                answering.cancel()


@dataclass(slots=True)
class Utterance:
    """A segment with speech in it."""

    text: str
    fault: Fault | None
    voiced_ms: float = 0
    words_shown: int = 0


class ScriptedStream:
    """One microphone. `answer` gives the finals, at their time; the rest only says when that is."""

    def __init__(self, script: SttScript, config: TranscriptionConfig, numbers: Iterator[int]) -> None:
        self._script = script
        self._language = config.language or "en"
        self._source = LanguageSource.CONFIG if config.language else LanguageSource.ENGINE
        self._partials = script.partials and config.partial_transcripts
        self._numbers = numbers
        self._texts = itertools.cycle(script.transcripts)
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        self._utterance: Utterance | None = None
        # Loop time at which the final of `_segment` is due; None when none is owed.
        self._due_s: float | None = None
        self._owed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    async def feed(self, chunk: AudioChunk, segment: Segment) -> None:
        """Take in audio; in `last_voiced` mode, voice puts off the final."""
        self._segment = segment
        if not _voiced(chunk.pcm, self._script.voiced_peak):
            return
        if self._utterance is None:
            self._utterance = Utterance(next(self._texts), self._script.fault_of(next(self._numbers)))
        self._utterance.voiced_ms += chunk.end_ms - chunk.start_ms
        if self._partials:
            self._show_words(self._utterance)
        if self._script.final_after == "last_voiced":
            self._owe()

    async def flush(self, segment: Segment) -> None:
        """Owe a final, unless the one that is on its way will do."""
        self._segment = segment
        if self._due_s is None:
            self._owe()

    async def commit(self, segment: Segment) -> None:
        """Wait for the final that is owed, then forget the utterance."""
        await self._settled.wait()
        self._utterance = None

    async def finish(self) -> None:
        """Wait for the final that is owed, then end."""
        await self._settled.wait()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """What the script says."""
        return self._queue.read()

    async def answer(self) -> None:
        """Give every final at its time, until cancelled."""
        while True:
            await self._owed.wait()
            await self._until_due()
            self._owed.clear()
            self._due_s = None
            await self._give()
            if self._due_s is None:
                self._settled.set()

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        # What is due may be put off while we sleep.
        while self._due_s is not None and (wait_s := self._due_s - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait_s)

    def _owe(self) -> None:
        self._due_s = asyncio.get_running_loop().time() + self._script.final_delay_ms / 1000
        self._settled.clear()
        self._owed.set()

    async def _give(self) -> None:
        utterance = self._utterance
        text = utterance.text if utterance else ""
        match utterance.fault if utterance else None:
            case Fault.DIE:
                os._exit(DIE_STATUS)
            case Fault.HANG:
                await asyncio.get_running_loop().create_future()
            case Fault.ERROR:
                self._queue.fail(EngineFailed("stt.engine_failed", "the script says so"))
                return
            case Fault.ENDLESS:
                for number in itertools.count(1):
                    self._queue.put_partial(Partial(self._segment, f"{text} {number}", self._language))
                    await asyncio.sleep(ENDLESS_INTERVAL_S)
            case Fault.GARBAGE:
                text = GARBAGE
            case Fault.EMPTY:
                text = ""
            case None:
                pass
        final = Final(
            self._segment,
            text,
            language=self._language,
            language_source=self._source,
            words=self._words(text) if self._script.word_times else (),
        )
        await self._queue.put_final(final)

    def _words(self, text: str) -> tuple[Word, ...]:
        """The words of `text`, `ms_per_word` each, within the segment."""
        segment = self._segment
        at_ms = [
            min(round(segment.start_ms + at * self._script.ms_per_word), segment.end_ms)
            for at in range(len(text.split()) + 1)
        ]
        return tuple(Word(word, *span) for word, span in zip(text.split(), itertools.pairwise(at_ms), strict=True))

    def _show_words(self, utterance: Utterance) -> None:
        words = utterance.text.split()
        shown = min(int(utterance.voiced_ms / self._script.ms_per_word), len(words))
        if shown > utterance.words_shown:
            utterance.words_shown = shown
            self._queue.put_partial(Partial(self._segment, " ".join(words[:shown]), self._language))


def _voiced(pcm: bytes, peak: int) -> bool:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    return bool(samples.size) and int(np.abs(samples).max()) >= peak
