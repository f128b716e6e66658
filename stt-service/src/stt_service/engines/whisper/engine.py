"""The Whisper engine: a process for Whisper, and on the CPU one for Moonshine's English partials."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version

from service_kit.audio import MICROPHONE
from service_kit.engines.info import EngineInfo
from service_kit.engines.models import model_folder
from service_kit.errors import EngineFailed, Unsupported
from service_kit.resources import read_resources

from stt_service.engine import TranscriptionConfig
from stt_service.engines.whisper.decoding import ClipOptions
from stt_service.engines.whisper.models import MOONSHINE, SMALL, candidates, find_device, locate_model, named_folder
from stt_service.engines.whisper.process import TranscriptionProcess
from stt_service.engines.whisper.worker_spec import WorkerSpec
from stt_service.retranscribing.alternatives import AlternativeModel
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import RetranscribingStream, SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings

log = logging.getLogger(__name__)

ENGLISH = "en"
# A clip fits one window of 30 s with its silence, and one frame of the pipe. Shorter ones cost words: 8.2 % are wrong
# with 15 s and 6.7 % with 28 s (docs/evaluation.md).
MAX_CLIP_S = 28.0
# A partial of a language that Moonshine lacks comes at most this often: it costs as much as a final.
WHISPER_PARTIAL_MS = 800
# In shorter clips, the language is taken to be that of the last final. Where there is none, and for as long as Whisper
# is not this sure of it, there is no partial: it would be words invented in another language. Of the first 0.9, 1.3,
# 1.8 and 2.3 s of 55 recordings of people in seven languages, 19 were taken to be in a wrong one: none of them with 0.8
# or more, 14 with less than 0.3, and the other 5 were shorter than 2 s.
IDENTIFIED_FROM_MS = 1000
SURE_PROBABILITY = 0.8
LIKELY_PROBABILITY = 0.3
# From this length on, there is a partial in the likeliest language, however likely.
GUESSED_FROM_MS = 3000
# With less speech than this, a partial would be invented.
MIN_PARTIAL_SPEECH_MS = 240
# A partial of more audio than this would come too late.
PARTIAL_WINDOW_MS = 6000
# An utterance this long ends at its next flush: the next final then covers only what follows.
SETTLED_AFTER_MS = 8000
# Finals at one time without a setting: one a core that the process may use, and at most so many.
MAX_FINALS = 2
# Partials give way to finals, and to the other services. With 10, an alternative came after its final on a busy machine
# (1.2 s, the final 1.0 s); with 3 before it (0.3 s).
PARTIAL_NICENESS = 3


def min_language_probability(clip_ms: float) -> float:
    """Return the probability that the language of a partial of this length needs for it to have a text."""
    if clip_ms < IDENTIFIED_FROM_MS:
        return SURE_PROBABILITY
    return LIKELY_PROBABILITY if clip_ms < GUESSED_FROM_MS else 0.0


class WhisperEngine:
    """Transcribes clips in a process, several at one time with one copy of the weights.

    Finals wait for finals only: partials have a place of their own, and English ones a process of their own.
    """

    def __init__(self, settings: SttSettings, model: str | None = None) -> None:
        """`model`: see `models.candidates`; None for the first of them."""
        self._settings = settings
        if model is None:
            model = candidates(settings)[0]
        self._model = model
        self._device = find_device(settings)
        finals = settings.whisper_workers or min(read_resources().cores, MAX_FINALS)
        self._finals = finals
        self._whisper: TranscriptionProcess | None = None
        self._moonshine: TranscriptionProcess | None = None
        # Why it works with less than it should; empty when it does not.
        self.degraded = ""
        self._shared = SharedModel(
            self,
            TranscriptionSlots(finals),
            settings.model_copy(update={"max_utterance_s": min(settings.max_utterance_s, MAX_CLIP_S)}),
            partial_slots=TranscriptionSlots(1),
            partial_interval_ms=self._partial_interval_ms,
            min_partial_speech_ms=MIN_PARTIAL_SPEECH_MS,
            partial_window_ms=PARTIAL_WINDOW_MS,
            settled_after_ms=SETTLED_AFTER_MS,
            identified_from_ms=IDENTIFIED_FROM_MS,
            alternative=AlternativeModel(ENGLISH, PARTIAL_WINDOW_MS, self._transcribe_alternative),
        )
        name = model or named_folder(settings).name
        self.info = EngineInfo(
            name="whisper",
            model=name,
            version=version("ctranslate2"),
            languages=(ENGLISH,) if model == SMALL else (),
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={
                "device": self._device,
                "compute_type": self._compute_type,
                "clips at one time": str(finals),
                "licence": "MIT",
            },
        )

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The ids of its processes."""
        return tuple(process.pid for process in (self._whisper, self._moonshine) if process is not None)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Start the processes, which load and warm up the models.

        Raises `InvalidRequest` for a named folder without a model, `EngineFailed` for one that cannot be loaded.
        Without Moonshine it works, and is degraded.
        """
        settings = self._settings
        folder = await asyncio.to_thread(locate_model, settings, self._model)
        spec = WorkerSpec(
            "whisper",
            str(folder),
            self._device,
            self._compute_type,
            settings.whisper_threads,
            # One more than finals, for a partial.
            clips=self._finals + 1,
        )
        async with AsyncExitStack() as running:
            self._whisper = TranscriptionProcess(self.info.model, spec)
            await running.enter_async_context(self._whisper.running())
            self.info = replace(self.info, languages=self._whisper.languages)
            if settings.models == "default" and self._device == "cpu":
                await self._start_moonshine(running)
            yield

    async def _start_moonshine(self, running: AsyncExitStack) -> None:
        try:
            folder = await asyncio.to_thread(
                model_folder, MOONSHINE, self._settings.models_lock, self._settings.models_dir
            )
            process = TranscriptionProcess(
                MOONSHINE,
                WorkerSpec("moonshine", str(folder), clips=1, nice=PARTIAL_NICENESS),
                # Whisper makes the partials meanwhile.
                max_failed_starts=None,
            )
            await running.enter_async_context(process.running())
            self._moonshine = process
        except EngineFailed as error:
            self.degraded = f"{MOONSHINE}: {error.message}; {self.info.model} makes the partial transcripts, fewer"
            log.warning("partial transcripts degraded", extra={"reason": self.degraded})

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RetranscribingStream]:
        """Open a microphone stream. Raises `Unsupported` for a language that the model does not support."""
        if config.language and config.language not in self.info.languages:
            raise Unsupported(
                "stt.language_unsupported",
                f"{self.info.model} does not support {config.language!r}, only {', '.join(self.info.languages)}",
            )
        return open_retranscribing_stream(self._shared, config)

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        """Transcribe at Whisper, and English partials at Moonshine.

        The language of partials without one is identified by Whisper; they have no text while that is too unsure.
        """
        assert self._whisper is not None, "used outside its lifespan"  # noqa: S101
        settings = self._settings
        if final:
            options = ClipOptions(language, settings.whisper_beam_size, settings.whisper_word_times)
            return await self._whisper.transcribe(pcm, options)
        if self._moonshine_ready and ENGLISH in (language, *self._only_language):
            return await self._transcribe_alternative(pcm)
        if self._whisper.has_cancelled_clips:
            # It would take the place of a final: Whisper does not stop in the middle of a clip.
            return ClipTranscript("")
        if language:
            return await self._whisper.transcribe(pcm, ClipOptions(language))
        return await self._transcribe_unidentified(self._whisper, pcm)

    async def _transcribe_unidentified(self, whisper: TranscriptionProcess, pcm: bytes) -> ClipTranscript:
        """Transcribe a partial whose language Whisper identifies; it encodes an English one only, for Moonshine."""
        needed = min_language_probability(MICROPHONE.ms_of(len(pcm)))
        other = ENGLISH if self._moonshine_ready else ""
        clip = await whisper.transcribe(pcm, ClipOptions(min_language_probability=needed, left_to_other_model=other))
        probability = clip.language_probability
        if clip.language != other or probability is None or probability < needed:
            return clip
        return replace(await self._transcribe_alternative(pcm), language=other, language_probability=probability)

    async def _transcribe_alternative(self, pcm: bytes) -> ClipTranscript:
        """Transcribe at Moonshine; an empty transcript without it."""
        if self._moonshine is None or not self._moonshine.ready:
            return ClipTranscript("")
        return replace(await self._moonshine.transcribe(pcm, ClipOptions(ENGLISH)), by_other_model=True)

    @property
    def _moonshine_ready(self) -> bool:
        return self._moonshine is not None and self._moonshine.ready

    @property
    def _only_language(self) -> tuple[str, ...]:
        return self.info.languages if len(self.info.languages) == 1 else ()

    @property
    def _compute_type(self) -> str:
        settings = self._settings
        automatic = "float16" if self._device == "cuda" else "int8"
        return automatic if settings.whisper_compute_type == "auto" else settings.whisper_compute_type

    def _partial_interval_ms(self, language: str) -> int:
        """The shortest time between two partials of a language, empty while it is unknown."""
        if self._moonshine_ready and ENGLISH in (language or ENGLISH, *self._only_language):
            return self._settings.partial_interval_ms
        return max(self._settings.partial_interval_ms, WHISPER_PARTIAL_MS)
