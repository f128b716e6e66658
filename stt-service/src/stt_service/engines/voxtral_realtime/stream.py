"""One microphone at a model that hears along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from service_kit.audio import AudioChunk

from stt_service.engine import Final, LanguageSource, Partial, Segment, Transcript, TranscriptionConfig
from stt_service.engines.voxtral_realtime.generation import Generation, RealtimeServer
from stt_service.retranscribing.guards import believed
from stt_service.retranscribing.utterance import SEARCHED_MS, Utterance
from stt_service.retranscribing.words import language_of
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue


@asynccontextmanager
async def hearing_along(
    server: RealtimeServer, settings: SttSettings, config: TranscriptionConfig
) -> AsyncGenerator[RealtimeStream]:
    """Begin a microphone; leaving closes its connections, and a connection that fails ends it."""
    async with asyncio.TaskGroup() as tasks:
        stream = RealtimeStream(server, settings, config, tasks)
        try:
            yield stream
        finally:
            stream.give_up()


class RealtimeStream:
    """Each utterance is a generation at the server, begun once somebody speaks in it.

    A flush ends the generation, for the server gives its last words only then. If the person goes on, the utterance
    is heard again from its beginning by another one, which may understand it better; where it has grown long, what
    was flushed stays as it is, and the next utterance begins.
    """

    def __init__(
        self, server: RealtimeServer, settings: SttSettings, config: TranscriptionConfig, tasks: asyncio.TaskGroup
    ) -> None:
        self._server = server
        self._settings = settings
        self._config = config
        self._tasks = tasks
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        self._utterance = Utterance()
        self._generation: Generation | None = None
        self._running: asyncio.Task[None] | None = None
        # Of the segment's utterances that are over.
        self._texts: list[str] = []
        # Of the utterance as it is; None once it has grown.
        self._newest: str | None = None
        # The last partial, and how much of the utterance the model had heard for it.
        self._shown = ""
        self._shown_ms = 0

    async def feed(self, chunk: AudioChunk, segment: Segment) -> None:
        """Take in audio, and pass it on; waits while the server is behind, and when the utterance is full."""
        self._segment = segment
        self._go_on()
        added = self._utterance.hear(chunk)
        if self._generation is not None:
            await self._generation.hear(added)
        elif self._utterance.voiced_ms >= self._settings.min_speech_ms:
            show = partial(self._show, self._utterance)
            self._generation = Generation(self._server, show, self._settings.voxtral_realtime_first_s)
            self._running = self._tasks.create_task(self._generation.run(), name="voxtral realtime")
            await self._generation.hear(self._utterance.pcm)
        if self._full():
            self._begin_utterance(await self._understood())
            await self._queue.put_final(self._final(segment))

    async def flush(self, segment: Segment) -> None:
        """End the generation, and put out all that the segment has."""
        if self._newest is None:
            self._newest = await self._understood()
        await self._queue.put_final(self._final(segment))

    async def commit(self, segment: Segment) -> None:
        """Forget the segment; what was not flushed is given up."""
        self.give_up()
        self._begin_utterance("")
        self._texts = []
        self._shown = ""

    async def finish(self) -> None:
        """End the transcripts; every final is out already."""
        self.give_up()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Partials and finals."""
        return self._queue.read()

    def give_up(self) -> None:
        """End the generation under way, if any."""
        if self._generation is not None and self._running is not None:
            self._running.cancel()
        self._generation = None

    def _go_on(self) -> None:
        """What was flushed is not all that is said."""
        if self._newest is None:
            return
        if self._utterance.ms > self._settings.voxtral_realtime_again_s * 1000:
            self._begin_utterance(self._newest)
        self._newest = None

    def _begin_utterance(self, text: str) -> None:
        """The utterance is over, with `text`."""
        self._texts.append(text)
        self._utterance = Utterance()
        self._newest = None
        self._shown_ms = 0

    def _full(self) -> bool:
        """Whether the utterance must end, or has only seconds left and a pause to end in."""
        left_ms = self._settings.max_utterance_s * 1000 - self._utterance.ms
        return left_ms <= 0 or (left_ms <= SEARCHED_MS and self._utterance.ends_quietly)

    async def _understood(self) -> str:
        if self._generation is None:
            return ""
        text = await self._generation.end(self._settings.voxtral_realtime_final_s)
        self._generation = None
        return believed(text, self._config.language, self._utterance.voiced_ms)

    def _show(self, utterance: Utterance, text: str, heard_ms: int) -> None:
        if utterance is not self._utterance:
            # Words that were on their way when their utterance ended.
            return
        due = heard_ms - self._shown_ms >= self._settings.partial_interval_ms
        shown = _joined([*self._texts, text])
        if self._config.partial_transcripts and due and shown and shown != self._shown:
            self._shown, self._shown_ms = shown, heard_ms
            self._queue.put_partial(Partial(self._segment, shown, self._config.language))

    def _final(self, segment: Segment) -> Final:
        text = _joined([*self._texts, self._newest or ""])
        language, source = self._language(text)
        return Final(segment, text, language=language, language_source=source)

    def _language(self, text: str) -> tuple[str, LanguageSource]:
        if self._config.language:
            return self._config.language, LanguageSource.CONFIG
        if told := language_of(text):
            return told, LanguageSource.TEXT
        return "", LanguageSource.UNKNOWN


def _joined(texts: list[str]) -> str:
    return " ".join(" ".join(texts).split())
