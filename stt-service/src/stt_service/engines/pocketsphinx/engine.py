"""The PocketSphinx engine: per microphone a topical and a general decoder, in two processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.engines.info import EngineInfo
from service_kit.errors import Unsupported

from stt_service.engine import (
    FinalTranscript,
    LanguageSource,
    PartialTranscript,
    Segment,
    Transcript,
    TranscriptionConfig,
)
from stt_service.engines.pocketsphinx.decoding import DecoderSpec
from stt_service.engines.pocketsphinx.hypotheses import HypothesisPair, combine_utterances
from stt_service.engines.pocketsphinx.models import DecoderModel, build_models
from stt_service.engines.pocketsphinx.process import DecoderProcess, RemoteDecoder
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

LANGUAGE = "en"
# PocketSphinx's second passes would run after the end of speech: `fwdflat` takes up to seconds, and `bestpath` finds
# nothing when no hypothesis ends like a sentence.
OPTIONS: dict[str, object] = {"fwdflat": False, "bestpath": False}
# Audio goes to the decoders in pieces of at most 100 ms, so that streams of a process do not delay each other.
PIECE_BYTES = MICROPHONE.bytes_for(100)
# A general decoder that takes longer than this for its oldest second of audio is slower than real time.
MAX_GENERAL_LAG_S = 1.0


class PocketsphinxEngine:
    """Owns the decoder processes, in pairs of a topical and a general one."""

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
        """Build the models or take them from the cache, start the processes, and wait until they are ready."""
        cache_dir = self._settings.cache_dir or self._settings.models_dir / "pocketsphinx"
        models = await asyncio.to_thread(build_models, self._settings.knowledge_dir, cache_dir)
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
                await process.wait_ready()
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
            max_decoders=self._settings.least_streams,
            options=OPTIONS,
        )

    @asynccontextmanager
    async def open_stream(self, config: TranscriptionConfig) -> AsyncGenerator[PocketsphinxStream]:
        """Open a microphone stream on the least used pair. Raises `Unsupported` for a language other than English."""
        if config.language not in ("", LANGUAGE):
            raise Unsupported(
                "stt.language_unsupported", f"pocketsphinx supports English only, not {config.language!r}"
            )
        topical_process, general_process = min(self.pairs, key=lambda pair: pair[0].stream_count)
        stream = PocketsphinxStream(config, self._settings)
        on_partial = stream.on_partial if config.partial_transcripts else None
        async with (
            topical_process.open(on_partial) as topical,
            general_process.open() as general,
            asyncio.TaskGroup() as tasks,
        ):
            stream.topical, stream.general = topical, general
            watching = tasks.create_task(stream.watch_processes(), name="decoders")
            try:
                yield stream
            finally:
                watching.cancel()


class PocketsphinxStream:
    """Recognition of one microphone with two decoders.

    `push_audio` waits for the topical decoder, and every final includes its hypothesis. The general decoder is left out
    of an utterance when it cannot keep up, and out of a final when it is late.
    """

    # Set by the engine before the stream is used.
    topical: RemoteDecoder
    general: RemoteDecoder

    def __init__(self, config: TranscriptionConfig, settings: SttSettings) -> None:
        self._source = LanguageSource.CONFIG if config.language else LanguageSource.TEXT
        self._max_general_wait_s = settings.second_opinion_ms / 1000
        self._max_utterance_ms = settings.max_utterance_s * 1000
        self._queue = TranscriptQueue()
        self._segment = Segment(1)
        # Of the segment's finished utterances.
        self._finished: list[HypothesisPair] = []
        self._utterance_bytes = 0
        self._general_keeps_up = True

    async def push_audio(self, chunk: AudioChunk, segment: Segment) -> None:
        """Decode audio; waits while a second of it is undecoded."""
        self._segment = segment
        for start in range(0, len(chunk.pcm), PIECE_BYTES):
            piece = chunk.pcm[start : start + PIECE_BYTES]
            await self.topical.wait_capacity()
            self.topical.push_audio(piece)
            if self._general_keeps_up:
                await self._push_to_general(piece)
            self._utterance_bytes += len(piece)
        if MICROPHONE.ms_of(self._utterance_bytes) >= self._max_utterance_ms:
            # Speech without a pause, or music: end the utterance, to bound memory and the wait for a final.
            await self.flush_segment(segment)

    async def _push_to_general(self, piece: bytes) -> None:
        try:
            async with asyncio.timeout(MAX_GENERAL_LAG_S):
                await self.general.wait_capacity()
        except TimeoutError:
            self._general_keeps_up = False
        else:
            self.general.push_audio(piece)

    async def flush_segment(self, segment: Segment) -> None:
        """End the utterance, wait for its hypotheses, and queue the final of the segment."""
        self._segment = segment
        if self._utterance_bytes:
            self._finished.append(await self._end_utterance())
        text, alternatives = combine_utterances(self._finished)
        final = FinalTranscript(
            segment, text, alternatives=alternatives, language=LANGUAGE, language_source=self._source
        )
        await self._queue.put_final(final)

    async def commit_segment(self, segment: Segment) -> None:
        """Discard the segment, and an utterance that was not flushed."""
        if self._utterance_bytes:
            await self._end_utterance()
        self._finished = []

    async def end_audio(self) -> None:
        """End the transcripts; all finals are queued already."""
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Yield partials of the topical decoder, and finals."""
        return self._queue.read()

    def on_partial(self, text: str) -> None:
        """Queue a partial: the segment's finished utterances and the topical decoder's text of the current one."""
        before, _ = combine_utterances(self._finished)
        so_far = " ".join(filter(None, (before, text)))
        if so_far:
            self._queue.put_partial(PartialTranscript(self._segment, so_far, LANGUAGE))

    async def watch_processes(self) -> None:
        """Fail the transcripts when either process dies."""
        await asyncio.wait((self.topical.failed, self.general.failed), return_when=asyncio.FIRST_COMPLETED)
        self._queue.fail(next(error for error in (self.topical.error, self.general.error) if error))

    async def _end_utterance(self) -> HypothesisPair:
        general = self.general.end_utterance()
        kept_up, self._general_keeps_up = self._general_keeps_up, True
        self._utterance_bytes = 0
        try:
            topical = await self.topical.utterance()
            if kept_up:
                await asyncio.wait((general,), timeout=self._max_general_wait_s)
            return HypothesisPair(topical, general.result() if kept_up and general.done() else None)
        finally:
            general.cancel()
