"""Whisper by CTranslate2, in this process: on the processor or a GPU."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from service_kit.audio import MICROPHONE, to_float
from service_kit.engines.info import EngineInfo
from service_kit.engines.worker import EngineWorker
from service_kit.errors import EngineFailed, InvalidRequest, Unsupported

from stt_service.engine import TranscriptionConfig, Word
from stt_service.retranscribing.finals_first import FinalsFirst
from stt_service.retranscribing.recogniser import Reading
from stt_service.retranscribing.stream import RetranscribingStream, Shared, retranscribing
from stt_service.settings import SttSettings

# Without the tokenizer beside it, the library would look for one on a model hub.
NEEDED = ("model.bin", "config.json", "tokenizer.json")
# Of the 448 tokens that the decoder has in all, for at most 30 s.
MAX_NEW_TOKENS = 224
# What the model gives as silent with this probability, and is unsure of in words, is silence (Whisper's own rule).
NO_SPEECH = 0.6
UNSURE_LOGPROB = -1.0
# What the library hears at a time, and how it counts its way through a clip.
WINDOW_S = 30
FRAMES_PER_S = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """How a clip is transcribed; `language` is ISO 639-1 or empty."""

    language: str
    beam_size: int = 1
    word_times: bool = False


class FasterWhisperEngine:
    """One model on one thread: clips are transcribed one after another."""

    def __init__(self, settings: SttSettings, load: Callable[[Path, SttSettings], Any] | None = None) -> None:
        self._settings = settings
        self._load = load or load_model
        self._folder = settings.models_dir / settings.whisper_model
        self._model: Any = None
        # What is given up leaves its 30 s to finish, so a few may stand behind each other.
        self._worker: EngineWorker | None = None
        self._shared = Shared(self, FinalsFirst(1), settings)
        self.info = EngineInfo(
            name="faster-whisper",
            model=self._folder.name,
            version="1",
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={"device": settings.whisper_device, "compute_type": settings.whisper_compute_type},
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Load the model and transcribe a second of silence. Raises `InvalidRequest` for a folder that is no model."""
        self._worker = EngineWorker("faster-whisper", max_waiting=2 * self._settings.max_streams + 2)
        try:
            self._model = await self._worker.run(partial(self._load, self._folder, self._settings))
            await self.recognise(bytes(MICROPHONE.bytes_for(1000)), "", final=True)
            yield
        finally:
            await asyncio.to_thread(self._worker.close)
            self._model = None

    def open(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RetranscribingStream]:
        """Begin a microphone. Raises `Unsupported` for a language that the model has not."""
        if config.language and config.language not in self._model.supported_languages:
            raise Unsupported("stt.language_unsupported", f"{self._folder.name} does not know {config.language!r}")
        return retranscribing(self._shared, config)

    async def recognise(self, pcm: bytes, language: str, *, final: bool) -> Reading:
        """Transcribe on the thread; what is cancelled stops before its next 30 s."""
        assert self._worker is not None, "used outside its lifespan"  # noqa: S101
        given_up = threading.Event()
        beam_size = self._settings.whisper_beam_size if final else 1
        asked = Asked(language, beam_size, word_times=final and self._settings.whisper_word_times)
        work = partial(transcribe, self._model, to_float(pcm), asked, given_up)
        try:
            return await self._worker.run(work)
        except RuntimeError as error:
            # CTranslate2 says so for everything: no memory, a lost device, a broken file.
            raise EngineFailed("stt.engine_failed", f"faster-whisper failed: {error}") from error
        finally:
            given_up.set()


def load_model(folder: Path, settings: SttSettings) -> Any:
    """The model in `folder`. Raises `InvalidRequest` for what is no model, `EngineFailed` where it cannot be loaded."""
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise InvalidRequest("stt.no_model", f"{folder} is no converted Whisper: it has no {', '.join(missing)}")
    try:
        from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InvalidRequest("stt.not_installed", "install stt-service[faster-whisper] for this engine") from error
    try:
        return WhisperModel(
            str(folder),
            device=settings.whisper_device,
            compute_type=settings.whisper_compute_type,
            cpu_threads=settings.whisper_threads,
        )
    except (RuntimeError, ValueError) as error:
        raise EngineFailed("stt.engine_failed", f"faster-whisper cannot load {folder}: {error}") from error


def transcribe(model: Any, samples: np.ndarray[Any, Any], asked: Asked, given_up: threading.Event) -> Reading:
    """What `model` makes of `samples`, float32 at 16 kHz. Ends early, with what there is, once `given_up`."""
    if given_up.is_set():
        return Reading("")
    segments, info = model.transcribe(
        samples,
        language=asked.language or None,
        beam_size=asked.beam_size,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
        word_timestamps=asked.word_times,
        max_new_tokens=MAX_NEW_TOKENS,
        no_speech_threshold=NO_SPEECH,
        log_prob_threshold=UNSURE_LOGPROB,
        vad_filter=False,
    )
    kept: list[Any] = []
    for segment in segments:
        if given_up.is_set():
            break
        kept.append(segment)
        # With word times, the library would hear what comes after the last word once more, and make words of it.
        if asked.word_times and segment.seek / FRAMES_PER_S + WINDOW_S >= len(samples) / MICROPHONE.rate_hz:
            break
    return reading(kept, info)


def reading(segments: list[Any], info: Any) -> Reading:
    """The text of segments, and how sure of it the model is: the mean probability of its tokens, weighed by length."""
    text = " ".join(segment.text.strip() for segment in segments if segment.text.strip())
    tokens = sum(len(segment.tokens) for segment in segments)
    if not text or not tokens:
        return Reading("")
    logprob = sum(segment.avg_logprob * len(segment.tokens) for segment in segments) / tokens
    return Reading(
        text,
        info.language,
        min(math.exp(logprob), 1.0),
        tuple(_word(word) for segment in segments for word in segment.words or () if word.word.strip()),
        info.language_probability,
    )


def _word(word: Any) -> Word:
    start_ms = round(word.start * 1000)
    return Word(word.word.strip(), start_ms, max(round(word.end * 1000), start_ms), word.probability)
