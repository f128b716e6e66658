"""A test engine that sends the transcripts of its script at the times of its script; never a default."""

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

from stt_service.engine import (
    FinalTranscript,
    LanguageSource,
    PartialTranscript,
    Segment,
    Transcript,
    TranscriptionConfig,
    Word,
)
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

GARBAGE = "\ufffd zxqv 0x1f ;; brrn \ufffd"
ENDLESS_INTERVAL_S = 0.02
DIE_STATUS = 70


class SttScript(ScriptSection):
    """The script's section `[stt]`."""

    # The transcript of the n-th segment with speech, in each stream; repeats from the first.
    transcripts: tuple[str, ...] = Field(default=("what is the latest news",), min_length=1)
    final_delay_ms: float = Field(default=100, ge=0)
    # `last_voiced`: the final is sent without a flush, `final_delay_ms` after the chunk with the last voiced sample; it
    # also answers a flush before then. `flush`: the final is sent `final_delay_ms` after the flush.
    final_after: Literal["last_voiced", "flush"] = "last_voiced"
    partials: bool = True
    # Voiced audio per word of a partial.
    ms_per_word: float = Field(default=200, gt=0)
    # Whether finals have word times.
    word_times: bool = False
    # A chunk is voiced if its loudest sample reaches this, of 32767.
    voiced_peak: int = Field(default=500, ge=1, le=32767)


class ScriptedEngine:
    """Counts utterances across all streams, so that a fault at the n-th utterance occurs once."""

    def __init__(self, settings: SttSettings) -> None:
        self.info = EngineInfo("scripted", "scripted", "1", notes={"purpose": "tests; it recognises nothing"})
        self._path = settings.script
        self._script = SttScript()
        self._utterances = itertools.count(1)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Read the script. Raises `InvalidRequest` for an invalid script."""
        self._script = load_section(self._path, "stt", SttScript)
        yield

    @asynccontextmanager
    async def open_stream(self, config: TranscriptionConfig) -> AsyncGenerator[ScriptedStream]:
        """Open a microphone stream; its transcripts begin with the script's first."""
        async with asyncio.TaskGroup() as tasks:
            stream = ScriptedStream(self._script, config, self._utterances)
            sending = tasks.create_task(stream.send_finals(), name="scripted stt")
            try:
                yield stream
            finally:
                sending.cancel()


@dataclass(slots=True)
class ScriptedUtterance:
    """The script's utterance for one segment with speech."""

    text: str
    fault: Fault | None
    voiced_ms: float = 0
    words_shown: int = 0


class ScriptedStream:
    """The transcripts of one microphone. `send_finals` sends the finals; the other methods set their due times."""

    def __init__(self, script: SttScript, config: TranscriptionConfig, numbers: Iterator[int]) -> None:
        self._script = script
        self._language = config.language or "en"
        self._source = LanguageSource.CONFIG if config.language else LanguageSource.ENGINE
        self._partials = script.partials and config.partial_transcripts
        self._numbers = numbers
        self._texts = itertools.cycle(script.transcripts)
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        self._utterance: ScriptedUtterance | None = None
        # Loop time at which the final of `_segment` is due; None when none is pending.
        self._due_s: float | None = None
        self._final_pending = asyncio.Event()
        self._finals_sent = asyncio.Event()
        self._finals_sent.set()

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Add audio; in `last_voiced` mode, voiced audio postpones the final."""
        self._segment = segment
        if not _is_voiced(chunk.pcm, self._script.voiced_peak):
            return
        if self._utterance is None:
            self._utterance = ScriptedUtterance(next(self._texts), self._script.fault_of(next(self._numbers)))
        self._utterance.voiced_ms += chunk.end_ms - chunk.start_ms
        if self._partials:
            self._put_partial(self._utterance)
        if self._script.final_after == "last_voiced":
            self._schedule_final()

    async def flush_segment(self, segment: Segment) -> None:
        """Schedule a final, unless one is pending."""
        self._segment = segment
        if self._due_s is None:
            self._schedule_final()

    async def commit_segment(self, segment: Segment) -> None:
        """Wait for a pending final, then discard the utterance."""
        await self._finals_sent.wait()
        self._utterance = None

    async def end_audio(self) -> None:
        """Wait for a pending final, then end the transcripts."""
        await self._finals_sent.wait()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Yield the script's transcripts."""
        return self._queue.read()

    async def send_finals(self) -> None:
        """Send each final when it is due, until cancelled."""
        while True:
            await self._final_pending.wait()
            await self._wait_until_due()
            self._final_pending.clear()
            self._due_s = None
            await self._send_final()
            if self._due_s is None:
                self._finals_sent.set()

    async def _wait_until_due(self) -> None:
        loop = asyncio.get_running_loop()
        # The final may be postponed during the sleep.
        while self._due_s is not None and (wait_s := self._due_s - loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait_s)

    def _schedule_final(self) -> None:
        self._due_s = asyncio.get_running_loop().time() + self._script.final_delay_ms / 1000
        self._finals_sent.clear()
        self._final_pending.set()

    async def _send_final(self) -> None:
        utterance = self._utterance
        text = utterance.text if utterance else ""
        match utterance.fault if utterance else None:
            case Fault.DIE:
                os._exit(DIE_STATUS)
            case Fault.HANG:
                await asyncio.get_running_loop().create_future()
            case Fault.ERROR:
                self._queue.fail(EngineFailed("stt.engine_failed", "scripted fault"))
                return
            case Fault.ENDLESS:
                for number in itertools.count(1):
                    self._queue.put_partial(PartialTranscript(self._segment, f"{text} {number}", self._language))
                    await asyncio.sleep(ENDLESS_INTERVAL_S)
            case Fault.GARBAGE:
                text = GARBAGE
            case Fault.EMPTY:
                text = ""
            case None:
                pass
        final = FinalTranscript(
            self._segment,
            text,
            language=self._language,
            language_source=self._source,
            words=self._words(text) if self._script.word_times else (),
        )
        await self._queue.put_final(final)

    def _words(self, text: str) -> tuple[Word, ...]:
        """Return the words of `text` with times, `ms_per_word` each, within the segment."""
        segment = self._segment
        at_ms = [
            min(round(segment.start_ms + at * self._script.ms_per_word), segment.end_ms)
            for at in range(len(text.split()) + 1)
        ]
        return tuple(Word(word, *span) for word, span in zip(text.split(), itertools.pairwise(at_ms), strict=True))

    def _put_partial(self, utterance: ScriptedUtterance) -> None:
        words = utterance.text.split()
        shown = min(int(utterance.voiced_ms / self._script.ms_per_word), len(words))
        if shown > utterance.words_shown:
            utterance.words_shown = shown
            self._queue.put_partial(PartialTranscript(self._segment, " ".join(words[:shown]), self._language))


def _is_voiced(pcm: bytes, peak: int) -> bool:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    return bool(samples.size) and int(np.abs(samples).max()) >= peak
