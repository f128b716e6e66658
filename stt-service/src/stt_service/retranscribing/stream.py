"""One microphone at a model that hears whole clips."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError

from stt_service.engine import Final, LanguageSource, Partial, Segment, Transcript, TranscriptionConfig, Word
from stt_service.retranscribing.finals_first import FinalsFirst
from stt_service.retranscribing.guards import believed
from stt_service.retranscribing.recogniser import Reading, Recogniser
from stt_service.retranscribing.utterance import Utterance
from stt_service.retranscribing.words import language_of
from stt_service.settings import SttSettings
from stt_service.transcript_queue import TranscriptQueue

log = logging.getLogger(__name__)

# Between two partials the model rests as long as the last one took, and at least so long.
LEAST_REST_S = 0.02


@dataclass(frozen=True, slots=True)
class Shared:
    """What all microphones of an engine have in common."""

    recogniser: Recogniser
    places: FinalsFirst
    settings: SttSettings


@asynccontextmanager
async def retranscribing(shared: Shared, config: TranscriptionConfig) -> AsyncGenerator[RetranscribingStream]:
    """Begin a microphone; leaving ends what the model does for it."""
    async with asyncio.TaskGroup() as tasks:
        stream = RetranscribingStream(shared, config, tasks)
        try:
            yield stream
        finally:
            stream.drop_partials()


class RetranscribingStream:
    """Transcribes the whole utterance for every final, and between them for partials, as often as the load allows.

    A final drops the partial under way. An utterance that is full is cut at its quietest moment: what comes before is
    transcribed for good, and the rest begins the next one.
    """

    def __init__(self, shared: Shared, config: TranscriptionConfig, tasks: asyncio.TaskGroup) -> None:
        self._recogniser, self._places, self._settings = shared.recogniser, shared.places, shared.settings
        self._config = config
        self._tasks = tasks
        self._queue = TranscriptQueue()
        self._partials: asyncio.Task[None] | None = None
        self._utterance = Utterance()
        self._segment = Segment(1)
        # How much of the utterance the last partial covered.
        self._shown_ms = 0.0
        # Of the segment's utterances that are over.
        self._readings: list[Reading] = []
        # Of the utterance as it is; None once it has grown.
        self._newest: Reading | None = None

    async def feed(self, chunk: AudioChunk, segment: Segment) -> None:
        """Take in audio. Begins a partial where one is due; waits only when the utterance is full."""
        self._utterance.hear(chunk)
        self._segment = segment
        self._newest = None
        if self._utterance.ms >= self._settings.max_utterance_s * 1000:
            await self._close_utterance(segment)
        elif self._config.partial_transcripts and (self._partials is None or self._partials.done()) and self._grown():
            self._partials = self._tasks.create_task(self._keep_showing(), name="partials")

    async def flush(self, segment: Segment) -> None:
        """Transcribe the utterance, and put out all that the segment has."""
        self.drop_partials()
        self._shown_ms = self._utterance.ms
        if self._newest is None:
            self._newest = await self._read(self._utterance)
        await self._queue.put_final(self._final(segment, [*self._readings, self._newest]))

    async def commit(self, segment: Segment) -> None:
        """Forget the segment; audio that was not flushed is dropped."""
        self.drop_partials()
        self._utterance = Utterance()
        self._newest = None
        self._readings = []
        self._shown_ms = 0.0

    async def finish(self) -> None:
        """End the transcripts; every final is out already."""
        self.drop_partials()
        self._queue.close()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Partials and finals."""
        return self._queue.read()

    def drop_partials(self) -> None:
        """End the partial under way, if any: what it would say is out of date."""
        if self._partials is not None:
            self._partials.cancel()
            self._partials = None

    async def _close_utterance(self, segment: Segment) -> None:
        """Make a final of the full utterance, so that neither memory nor the wait for the last final grows."""
        self.drop_partials()
        rest = self._utterance.cut()
        self._readings.append(await self._read(self._utterance))
        self._utterance = rest
        self._shown_ms = 0.0
        await self._queue.put_final(self._final(segment, self._readings))

    def _grown(self) -> bool:
        return self._utterance.ms - self._shown_ms >= self._settings.partial_interval_ms and _speaks(
            self._utterance, self._settings
        )

    async def _keep_showing(self) -> None:
        """One partial after another while the utterance grows; the slower the model, the rarer."""
        while self._grown():
            began_s = _now_s()
            shown_ms = self._utterance.ms
            await self._show(self._utterance, self._segment)
            self._shown_ms = shown_ms
            await asyncio.sleep(max(_now_s() - began_s, LEAST_REST_S))

    async def _show(self, utterance: Utterance, segment: Segment) -> None:
        voiced_ms = utterance.voiced_ms
        try:
            async with self._places.partial() as granted:
                if granted:
                    reading = await self._recogniser.recognise(utterance.pcm, self._config.language, final=False)
                    self._put_partial(self._believed(reading, voiced_ms), segment)
        except AnchorError as error:
            # A partial may be missed. If there is more to it, the final will fail, and say so.
            log.warning("partial transcript failed", extra={"code": error.code, "reason": error.message})

    def _put_partial(self, reading: Reading, segment: Segment) -> None:
        text = _joined([*self._readings, reading])
        if text:
            self._queue.put_partial(Partial(segment, text, self._config.language or reading.language))

    async def _read(self, utterance: Utterance) -> Reading:
        if not _speaks(utterance, self._settings):
            return Reading("")
        async with self._places.final():
            reading = await self._recogniser.recognise(utterance.pcm, self._config.language, final=True)
        return _placed(self._believed(reading, utterance.voiced_ms), utterance)

    def _believed(self, reading: Reading, voiced_ms: int) -> Reading:
        language = self._config.language or reading.language
        text = believed(reading.text, language, voiced_ms)
        if not text:
            return Reading("", reading.language)
        # Where something was taken out, the words are no longer those of the text.
        words = reading.words if text == " ".join(reading.text.split()) else ()
        return replace(reading, text=text, words=words)

    def _final(self, segment: Segment, readings: list[Reading]) -> Final:
        text = _joined(readings)
        language, source, probability = self._language(text, readings)
        confidences = [reading.confidence for reading in readings if reading.confidence is not None]
        return Final(
            segment,
            text,
            language=language,
            language_source=source,
            # A text is no surer than its least sure part.
            confidence=min(confidences, default=None),
            words=_all_words(readings),
            language_probability=probability,
        )

    def _language(self, text: str, readings: list[Reading]) -> tuple[str, LanguageSource, float | None]:
        if self._config.language:
            return self._config.language, LanguageSource.CONFIG, None
        if heard := next((reading for reading in readings if reading.language and reading.text), None):
            return heard.language, LanguageSource.ENGINE, heard.language_probability
        if told := language_of(text):
            return told, LanguageSource.TEXT, None
        return "", LanguageSource.UNKNOWN, None


def _speaks(utterance: Utterance, settings: SttSettings) -> bool:
    return utterance.voiced_ms >= settings.min_speech_ms


def _joined(readings: list[Reading]) -> str:
    return " ".join(reading.text for reading in readings if reading.text)


def _placed(reading: Reading, utterance: Utterance) -> Reading:
    """`reading` with its words on the audio clock."""
    clock_ms = utterance.clock_ms
    words = (replace(word, start_ms=clock_ms(word.start_ms), end_ms=clock_ms(word.end_ms)) for word in reading.words)
    return replace(reading, words=tuple(words))


def _all_words(readings: list[Reading]) -> tuple[Word, ...]:
    """The words of all readings; none where some of the text has none, since they would not be the text's."""
    if any(reading.text and not reading.words for reading in readings):
        return ()
    return tuple(word for reading in readings for word in reading.words)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
