"""Two decoders a microphone, in two processes: one that knows our topics, and one that knows English."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.engines.info import EngineInfo
from service_kit.errors import Unsupported

from stt_service.engine import Final, LanguageSource, Partial, Segment, Transcript, TranscriptionConfig
from stt_service.engines.pocketsphinx.decoding import DecoderSpec
from stt_service.engines.pocketsphinx.hypotheses import Hearing, read_together
from stt_service.engines.pocketsphinx.models import DecoderModel, prepare
from stt_service.engines.pocketsphinx.process import DecoderProcess, RemoteDecoder
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

LANGUAGE = "en"
# The second passes (`fwdflat`, `bestpath`) would come after the end of speech: the first takes up to seconds, and the
# other finds nothing at all where no reading ends as sentences do.
OPTIONS: dict[str, object] = {"fwdflat": False, "bestpath": False}
# Audio goes to the decoders in pieces of at most this, so that no stream keeps another waiting for long.
PIECE_BYTES = MICROPHONE.bytes_for(100)
# A general decoder that needs longer than this for its oldest second of audio is slower than speech.
PATIENCE_S = 1.0


class PocketsphinxEngine:
    """The decoder processes, in pairs."""

    def __init__(self, settings: SttSettings) -> None:
        self._settings = settings
        self.pairs: list[tuple[DecoderProcess, DecoderProcess]] = []
        self.info = EngineInfo(
            name="pocketsphinx",
            model="en-us",
            version=version("pocketsphinx"),
            languages=(LANGUAGE,),
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={
                "licence": "BSD-2-Clause",
                "limits": "English; good on short commands and on the topics of the knowledge folder, weak on free "
                "speech",
            },
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Build or find the models, start the processes, wait until they can work."""
        kept = self._settings.models_dir / "pocketsphinx"
        models = await asyncio.to_thread(prepare, self._settings.knowledge_dir, kept)
        topical = self._spec(models.topical)
        general = self._spec(models.general)
        self.pairs = [
            (DecoderProcess("topical", topical), DecoderProcess("general", general))
            for _ in range(self._settings.worker_pairs)
        ]
        processes = [process for pair in self.pairs for process in pair]
        async with asyncio.TaskGroup() as tasks:
            supervisors = [tasks.create_task(process.supervise(), name=process.name) for process in processes]
            for process in processes:
                await process.until_ready()
            try:
                yield
            finally:
                for supervisor in supervisors:
                    supervisor.cancel()

    def _spec(self, model: DecoderModel) -> DecoderSpec:
        return DecoderSpec(
            dictionary=str(model.dictionary),
            language_model=str(model.language_model) if model.language_model else None,
            partial_interval_ms=self._settings.partial_interval_ms,
            max_decoders=self._settings.max_streams,
            options=OPTIONS,
        )

    @asynccontextmanager
    async def open(self, config: TranscriptionConfig) -> AsyncGenerator[PocketsphinxStream]:
        """Begin a microphone on the pair with the fewest. Raises `Unsupported` for a language that is not English."""
        if config.language not in ("", LANGUAGE):
            raise Unsupported("stt.language_unsupported", f"pocketsphinx knows English only, not {config.language!r}")
        topical, general = min(self.pairs, key=lambda pair: pair[0].stream_count)
        stream = PocketsphinxStream(config, self._settings)
        on_partial = stream.on_partial if config.partial_transcripts else None
        async with topical.open(on_partial) as first, general.open() as second, asyncio.TaskGroup() as tasks:
            stream.first, stream.second = first, second
            watching = tasks.create_task(stream.watch(), name="decoders")
            try:
                yield stream
            finally:
                watching.cancel()


class PocketsphinxStream:
    """One microphone.

    The topical decoder sets the pace: `feed` waits for it, and a final never comes without it. The general decoder is
    left out of an utterance that it cannot keep up with, and out of a final that it is late for.
    """

    # Given by the engine before the stream is used.
    first: RemoteDecoder
    second: RemoteDecoder

    def __init__(self, config: TranscriptionConfig, settings: SttSettings) -> None:
        self._source = LanguageSource.CONFIG if config.language else LanguageSource.TEXT
        self._second_opinion_s = settings.second_opinion_ms / 1000
        self._max_utterance_ms = settings.max_utterance_s * 1000
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        # The segment's utterances that are over.
        self._hearings: list[Hearing] = []
        self._utterance_bytes = 0
        self._second_keeps_up = True

    async def feed(self, chunk: AudioChunk, segment: Segment) -> None:
        """Decode audio; a second of it may be under way, then this waits."""
        self._segment = segment
        for start in range(0, len(chunk.pcm), PIECE_BYTES):
            piece = chunk.pcm[start : start + PIECE_BYTES]
            await self.first.until_room()
            self.first.hear(piece)
            if self._second_keeps_up:
                await self._feed_second(piece)
            self._utterance_bytes += len(piece)
        if MICROPHONE.ms_of(self._utterance_bytes) >= self._max_utterance_ms:
            # Endless speech, or music: close what there is, so that neither memory nor the wait for a final grows.
            await self.flush(segment)

    async def _feed_second(self, piece: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.second.until_room()
        except TimeoutError:
            self._second_keeps_up = False
        else:
            self.second.hear(piece)

    async def flush(self, segment: Segment) -> None:
        """End the utterance, wait for both readings of it, and put out all that the segment has."""
        self._segment = segment
        if self._utterance_bytes:
            self._hearings.append(await self._end_utterance())
        text, others = read_together(self._hearings)
        final = Final(segment, text, alternatives=others, language=LANGUAGE, language_source=self._source)
        await self._queue.put_final(final)

    async def commit(self, segment: Segment) -> None:
        """Forget the segment; an utterance that was not flushed is dropped."""
        if self._utterance_bytes:
            await self._end_utterance()
        self._hearings = []

    async def finish(self) -> None:
        """End the transcripts; every final is out already."""
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Partials of the topical decoder, and finals."""
        return self._queue.read()

    def on_partial(self, text: str) -> None:
        """Show what the topical decoder hears of the utterance at hand, after what is known of those before."""
        before, _ = read_together(self._hearings)
        so_far = " ".join(filter(None, (before, text)))
        if so_far:
            self._queue.put_partial(Partial(self._segment, so_far, LANGUAGE))

    async def watch(self) -> None:
        """Fail the transcripts when either process dies."""
        await asyncio.wait((self.first.failed, self.second.failed), return_when=asyncio.FIRST_COMPLETED)
        self._queue.fail(next(error for error in (self.first.error, self.second.error) if error))

    async def _end_utterance(self) -> Hearing:
        second = self.second.end_utterance()
        kept_up, self._second_keeps_up = self._second_keeps_up, True
        self._utterance_bytes = 0
        try:
            first = await self.first.utterance()
            if kept_up:
                await asyncio.wait((second,), timeout=self._second_opinion_s)
            return Hearing(first, second.result() if kept_up and second.done() else None)
        finally:
            second.cancel()
