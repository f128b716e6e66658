"""Whisper on CTranslate2, in this process: on the CPU or a GPU."""

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
from stt_service.retranscribing.recogniser import ClipTranscript
from stt_service.retranscribing.stream import RetranscribingStream, SharedModel, open_retranscribing_stream
from stt_service.retranscribing.transcription_slots import TranscriptionSlots
from stt_service.settings import SttSettings

# Without a local tokenizer, the library would look for one on a model hub.
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")
# Half of the decoder's 448 tokens, for at most 30 s of audio.
MAX_NEW_TOKENS = 224
# A window whose no-speech probability is above the first and whose mean log-probability is below the second is silence
# (Whisper's own rule).
NO_SPEECH_PROBABILITY = 0.6
MIN_LOGPROB = -1.0
# The library transcribes a clip in windows of this length; `segment.seek` counts frames.
WINDOW_S = 30
FRAMES_PER_S = 100


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """Options for one clip; `language` is ISO 639-1 or empty."""

    language: str
    beam_size: int = 1
    word_times: bool = False


class FasterWhisperEngine:
    """One model on one thread, which transcribes clips one after another."""

    def __init__(self, settings: SttSettings, load: Callable[[Path, SttSettings], Any] | None = None) -> None:
        self._settings = settings
        self._load = load or load_model
        self._folder = settings.models_dir / settings.whisper_model
        self._model: Any = None
        # A cancelled clip still finishes its current window of 30 s, so several may queue.
        self._worker: EngineWorker | None = None
        self._shared = SharedModel(self, TranscriptionSlots(1), settings)
        self.info = EngineInfo(
            name="faster-whisper",
            model=self._folder.name,
            version="1",
            sample_rate_hz=MICROPHONE.rate_hz,
            notes={"device": settings.whisper_device, "compute_type": settings.whisper_compute_type},
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Load the model and transcribe a second of silence. Raises `InvalidRequest` for a folder without a model."""
        self._worker = EngineWorker("faster-whisper", max_waiting=2 * self._settings.max_streams + 2)
        try:
            self._model = await self._worker.run(partial(self._load, self._folder, self._settings))
            await self.transcribe_clip(bytes(MICROPHONE.bytes_for(1000)), "", final=True)
            yield
        finally:
            await asyncio.to_thread(self._worker.close)
            self._model = None

    def open_stream(self, config: TranscriptionConfig) -> AbstractAsyncContextManager[RetranscribingStream]:
        """Open a microphone stream. Raises `Unsupported` for a language that the model does not support."""
        if config.language and config.language not in self._model.supported_languages:
            raise Unsupported("stt.language_unsupported", f"{self._folder.name} does not support {config.language!r}")
        return open_retranscribing_stream(self._shared, config)

    async def transcribe_clip(self, pcm: bytes, language: str, *, final: bool) -> ClipTranscript:
        """Transcribe on the worker thread; a cancelled clip stops before its next window of 30 s."""
        assert self._worker is not None, "used outside its lifespan"  # noqa: S101
        cancelled = threading.Event()
        beam_size = self._settings.whisper_beam_size if final else 1
        options = ClipOptions(language, beam_size, word_times=final and self._settings.whisper_word_times)
        work = partial(transcribe, self._model, to_float(pcm), options, cancelled)
        try:
            return await self._worker.run(work)
        except RuntimeError as error:
            # CTranslate2 raises it for every failure: out of memory, a lost device, a corrupt file.
            raise EngineFailed("stt.engine_failed", f"faster-whisper failed: {error}") from error
        finally:
            cancelled.set()


def load_model(folder: Path, settings: SttSettings) -> Any:
    """Load the model in `folder`.

    Raises `InvalidRequest` when files or the library are missing, `EngineFailed` when the model cannot be loaded.
    """
    if missing := [name for name in REQUIRED_FILES if not (folder / name).is_file()]:
        raise InvalidRequest(
            "stt.no_model", f"{folder} is not a converted Whisper model: it lacks {', '.join(missing)}"
        )
    try:
        from faster_whisper import WhisperModel  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InvalidRequest(
            "stt.not_installed", "this engine needs `stt-service[faster-whisper]` installed"
        ) from error
    try:
        return WhisperModel(
            str(folder),
            device=settings.whisper_device,
            compute_type=settings.whisper_compute_type,
            cpu_threads=settings.whisper_threads,
        )
    except (RuntimeError, ValueError) as error:
        raise EngineFailed("stt.engine_failed", f"faster-whisper cannot load {folder}: {error}") from error


def transcribe(
    model: Any, samples: np.ndarray[Any, Any], options: ClipOptions, cancelled: threading.Event
) -> ClipTranscript:
    """Transcribe `samples`, float32 at 16 kHz, shape [n]. Returns early, with the text so far, once `cancelled`."""
    if cancelled.is_set():
        return ClipTranscript("")
    segments, info = model.transcribe(
        samples,
        language=options.language or None,
        beam_size=options.beam_size,
        temperature=0.0,
        condition_on_previous_text=False,
        without_timestamps=True,
        word_timestamps=options.word_times,
        max_new_tokens=MAX_NEW_TOKENS,
        no_speech_threshold=NO_SPEECH_PROBABILITY,
        log_prob_threshold=MIN_LOGPROB,
        vad_filter=False,
    )
    used: list[Any] = []
    for segment in segments:
        if cancelled.is_set():
            break
        used.append(segment)
        # With word times, the library transcribes the audio after the last word once more and invents words for it.
        if options.word_times and segment.seek / FRAMES_PER_S + WINDOW_S >= len(samples) / MICROPHONE.rate_hz:
            break
    return join_segments(used, info)


def join_segments(segments: list[Any], info: Any) -> ClipTranscript:
    """Join Whisper's segments; the confidence is their mean token probability (geometric), weighted by length."""
    text = " ".join(segment.text.strip() for segment in segments if segment.text.strip())
    tokens = sum(len(segment.tokens) for segment in segments)
    if not text or not tokens:
        return ClipTranscript("")
    logprob = sum(segment.avg_logprob * len(segment.tokens) for segment in segments) / tokens
    return ClipTranscript(
        text,
        info.language,
        min(math.exp(logprob), 1.0),
        tuple(_word(word) for segment in segments for word in segment.words or () if word.word.strip()),
        info.language_probability,
    )


def _word(word: Any) -> Word:
    start_ms = round(word.start * 1000)
    return Word(word.word.strip(), start_ms, max(round(word.end * 1000), start_ms), word.probability)
